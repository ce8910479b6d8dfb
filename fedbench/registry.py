"""Entries of specs with their plugins, looked up by name, with what to say when a name is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Generic, TypeVar

from fedbench.api.options import Options
from fedbench.errors import FedbenchError, UsageError, suggest
from fedbench.plugins import Plugin
from fedbench.process_state import output_on_stderr

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Entry(Generic[S]):
    """A spec and the plugin that provides it."""

    spec: S
    """What the plugin registered."""
    plugin: Plugin
    """The plugin that registered it."""

    @property
    def name(self) -> str:
        """The spec's name."""
        return self.spec.name  # type: ignore[attr-defined, no-any-return]

    @property
    def qualified(self) -> str:
        """``plugin/name``."""
        return f"{self.plugin.name}/{self.name}"

    @property
    def options(self) -> type[Options]:
        """The spec's options model, imported if the spec names it lazily."""
        model = self.spec.options  # type: ignore[attr-defined]
        return load_object(model, self.plugin) if isinstance(model, str) else model  # type: ignore[no-any-return]

    def create(self, *arguments: Any) -> Any:
        """Import the spec's factory and call it; :class:`FedbenchError` naming the plugin if that fails."""
        factory = load_object(self.spec.factory, self.plugin)  # type: ignore[attr-defined]
        with self.answerable(f"plugin {self.plugin.title} can't make {self.name!r}"), output_on_stderr():
            return factory(*arguments)

    @contextmanager
    def answerable(self, what: str = "") -> Iterator[None]:
        """Blame what fails in the block on the plugin: an error that is none of ours becomes a
        :class:`FedbenchError` that says ``what``, by default that this failed."""
        try:
            yield
        except FedbenchError:
            raise
        except (Exception, SystemExit) as error:
            raise FedbenchError(
                what or f"{self.name!r} of plugin {self.plugin.title} failed",
                why=f"{type(error).__name__}: {error}",
                fix="FEDBENCH_DEBUG=1 shows where",
            ) from error


class Registry(Generic[S]):
    """All entries of one kind, sorted by name and plugin."""

    def __init__(self, kind: str, entries: Iterable[Entry[S]]) -> None:
        self.kind = kind
        self.entries = sorted(entries, key=lambda entry: (entry.name, entry.plugin.key))

    def select(self, names: Iterable[str]) -> list[Entry[S]]:
        """Look up ``names``; the entries in this order and each once."""
        entries = map(self.__getitem__, names)
        return list({(entry.plugin.key, entry.name): entry for entry in entries}.values())

    def __getitem__(self, name: str) -> Entry[S]:
        """Look up ``name`` or ``provider/name``; :class:`UsageError` if none or several answer to it."""
        provider, _, short = name.rpartition("/")
        matches = [
            entry
            for entry in self.entries
            if entry.name == short and (not provider or entry.plugin.answers_to(provider))
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            choices = ", ".join(f"{entry.plugin.key}/{entry.name}" for entry in matches)
            raise UsageError(f"several plugins provide {self.kind} {name!r}", fix=f"name one of: {choices}")
        names = {entry.name for entry in self.entries}
        raise UsageError(f"unknown {self.kind} {name!r}", fix=suggest(short, names))


@cache
def load_object(path: str, plugin: Plugin) -> Any:
    """Import the object at ``"module:attribute"``; :class:`FedbenchError` naming the plugin if that fails."""
    module, _, attribute = path.partition(":")
    try:
        with output_on_stderr():
            return getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise FedbenchError(
            f"plugin {plugin.title} points at {path}, which can't be loaded",
            why=f"{type(error).__name__}: {error}",
            fix="FEDBENCH_DEBUG=1 shows where",
        ) from error
