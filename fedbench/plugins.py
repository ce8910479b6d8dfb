"""Finding and isolating plugins. Nothing else in fedbench touches pluggy's manager."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from fedbench.api import hookspecs
from fedbench.errors import FedbenchError, PluginError, UsageError, suggest
from fedbench.factories import spec_problem
from fedbench.process_state import output_on_stderr, preserved

GROUP = "fedbench"
DISABLE_VARIABLE = "FEDBENCH_DISABLE_PLUGINS"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SLOW_SECONDS = 10.0
"""How long a plugin may take without being named."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed entry point of the group ``fedbench``, loaded or not."""

    distribution: str
    """The distribution that installs it."""
    version: str
    """The distribution's version."""
    name: str
    """The entry point's name."""
    module: str
    """The module that implements its hooks, as the entry point names it."""
    status: str = "active"
    """``active``, ``blocked``, ``duplicate`` or ``broken``; only an active one is used."""
    problem: str = ""
    """Why it is not in use; empty if it is."""
    hooks: tuple[str, ...] = ()
    """The hooks that it implements, sorted."""

    @property
    def key(self) -> str:
        """The name that no other plugin has, ``distribution:name``."""
        return f"{self.distribution}:{self.name}"

    @property
    def title(self) -> str:
        """The key and the version, for messages."""
        return f"{self.key} {self.version}"

    def answers_to(self, name: str) -> bool:
        """Say whether ``name`` is its name, its key or its distribution."""
        return name in (self.name, self.key, self.distribution)


class Plugins:
    """The installed plugins. Broken ones are reported through ``warn`` and left out.

    ``blocked`` names plugins (entry-point name, ``distribution:name`` or distribution) not to load.
    Under ``strict`` the first broken plugin raises :class:`PluginError`.
    """

    def __init__(
        self,
        *,
        blocked: Sequence[str] = (),
        strict: bool = False,
        warn: Callable[[str], None] = lambda line: None,
        extra: Iterable[EntryPoint] = (),
    ) -> None:
        self._warn, self._strict = warn, strict
        self._pm = pluggy.PluginManager(hookspecs.PROJECT)
        self._pm.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin] = {}
        listed = [name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",")]
        self._blocked = {*blocked, *filter(None, listed)}
        entries = [*entry_points(group=GROUP), *extra]
        for entry in sorted(entries, key=lambda e: (_distribution(e)[0], e.name)):
            self._load(entry)
        unknown = [b for b in self._blocked if not any(p.answers_to(b) for p in self._plugins.values())]
        if unknown:
            raise UsageError(
                f"no plugin {min(unknown)!r} to block",
                where=DISABLE_VARIABLE if min(unknown) in listed else None,
                fix=suggest(min(unknown), (plugin.name for plugin in self._plugins.values())),
            )

    @property
    def all(self) -> tuple[Plugin, ...]:
        """Every plugin that is installed, in use or not, in the order of loading."""
        return tuple(self._plugins.values())

    def collect(self, hook: str, kind: type) -> list[tuple[Any, Plugin]]:
        """Collect the specs of type ``kind`` that active plugins register by ``hook``, in fixed order."""
        collected: list[tuple[Any, Plugin]] = []
        for key, plugin in list(self._plugins.items()):
            if plugin.status != "active" or hook not in plugin.hooks:
                continue
            try:
                with self._guarded(plugin, hook):
                    specs = [spec for group in self._only(key, hook)() for spec in group]
                _check(specs, kind, hook)
            except (Exception, SystemExit) as error:
                self.reject(plugin, error)
                continue
            collected += [(spec, plugin) for spec in specs]
        return collected

    def emit(self, hook: str, event: object) -> None:
        """Call every observer with ``event``; one that fails is reported and the others are still called."""
        self._call_each(hook, event=event)

    def add_commands(self, cli: Any) -> None:
        """Let plugins add sub-commands to the click group ``cli``."""
        self._call_each("fedbench_register_commands", cli=cli)

    def complain(self, plugin: Plugin, what: str, error: BaseException) -> None:
        """Warn in one line of a plugin that is at fault and say how to block it; fatal under ``strict``."""
        fix = f"block it with `fedbench -p no:{plugin.name} …`"
        line = f"plugin {plugin.title}: {what}: {_reason(error)} — {fix}"
        if self._strict:
            raise PluginError(line) from error
        self._warn(line)

    def reject(self, plugin: Plugin, error: BaseException) -> None:
        """Take a plugin that turned out to be broken out of use, and complain; once is enough."""
        if plugin.key in self._plugins and self._plugins[plugin.key].status == "broken":
            return
        if self._pm.has_plugin(plugin.key):
            self._pm.unregister(name=plugin.key)
        self._plugins[plugin.key] = replace(plugin, status="broken", problem=_reason(error))
        self.complain(plugin, "left out", error)

    def _call_each(self, hook: str, **arguments: Any) -> None:
        for key, plugin in list(self._plugins.items()):
            if plugin.status != "active" or hook not in plugin.hooks:
                continue
            try:
                with self._guarded(plugin, hook):
                    self._only(key, hook)(**arguments)
            except (Exception, SystemExit) as error:
                self.complain(plugin, f"{hook} failed", error)

    @contextmanager
    def _guarded(self, plugin: Plugin, what: str) -> Iterator[None]:
        """Run a plugin's code: it prints to stderr, is named when it takes long, and changes no state of the
        process."""

        def slow() -> None:
            fix = f"block it with `fedbench -p no:{plugin.name} …`"
            self._warn(f"plugin {plugin.title}: {what} has taken {SLOW_SECONDS:g} s so far — {fix}")

        def changed(state: str) -> None:
            self._warn(f"plugin {plugin.title}: {what} changed {state}, which is restored")

        timer = threading.Timer(SLOW_SECONDS, slow)
        timer.daemon = True
        timer.start()
        try:
            with output_on_stderr(), preserved(changed):
                yield
        finally:
            timer.cancel()

    def _only(self, key: str, hook: str) -> Any:
        others = [plugin for name, plugin in self._pm.list_name_plugin() if name != key]
        return self._pm.subset_hook_caller(hook, remove_plugins=others)

    def _load(self, entry: EntryPoint) -> None:
        distribution, version = _distribution(entry)
        plugin = Plugin(distribution, version, entry.name, entry.value)
        if any(plugin.answers_to(name) for name in self._blocked):
            self._plugins[plugin.key] = replace(plugin, status="blocked", problem="blocked by the user")
            return
        for other in self._plugins.values():
            if other.module == plugin.module and other.status != "blocked":
                reason = f"the same module as {other.key}"
                self._plugins[plugin.key] = replace(plugin, status="duplicate", problem=reason)
                return
        try:
            with self._guarded(plugin, "importing it"):
                module = entry.load()
            self._pm.register(module, name=plugin.key)
            self._plugins[plugin.key] = replace(plugin, hooks=self._hooks(module))
        except (Exception, SystemExit) as error:
            self.reject(plugin, error)

    def _hooks(self, module: ModuleType) -> tuple[str, ...]:
        callers = self._pm.get_hookcallers(module) or []
        unknown = [caller.name for caller in callers if not caller.has_spec()]
        if unknown:
            known = (name for name in vars(hookspecs) if name.startswith(hookspecs.PROJECT))
            raise ValueError(f"there is no hook {unknown[0]}, {suggest(unknown[0], known)}")
        if not callers:
            raise ValueError("it implements no hook (is @hookimpl missing?)")
        return tuple(sorted(caller.name for caller in callers))


def _check(specs: Sequence[Any], kind: type, hook: str) -> None:
    """Refuse specs of another type, names that a command line can't hold, and fields that can't be."""
    names = set()
    for spec in specs:
        if not isinstance(spec, kind):
            raise TypeError(f"{hook} must give {kind.__name__}, not {type(spec).__name__}")
        name = spec.name  # type: ignore[attr-defined]
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"{hook}: {name!r} is not a name (letters, digits, - _ .)")
        if name in names:
            raise ValueError(f"{hook} gives {name!r} twice")
        if problem := spec_problem(spec):  # type: ignore[arg-type]
            raise ValueError(f"{hook}: {name!r}: {problem}")
        names.add(name)


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    """The distribution's name and version, also of one whose metadata lack them."""
    metadata = entry.dist.metadata if entry.dist else None
    if metadata is None:
        return "unknown", "0"
    given = {field: metadata[field] for field in ("Name", "Version") if field in metadata}
    return given.get("Name") or "unknown", given.get("Version") or "0"


def _reason(error: BaseException) -> str:
    """Describe an error in one line: our own by their message, others with their type."""
    if isinstance(error, FedbenchError):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())
