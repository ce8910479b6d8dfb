"""The command's entry: global options, lazy sub-commands, errors as one line, exit codes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import click

from fedbench import __version__
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError, suggest
from fedbench.plugins import Plugins
from fedbench.results.markdown import visible

COMMANDS = ("run", "list", "show", "data", "compare", "leaderboard", "export", "validate", "plugins", "env")
DEBUG_VARIABLE = "FEDBENCH_DEBUG"
"""The environment variable that makes an error a traceback."""


def warn(line: str) -> None:
    """Print a line on stderr; stdout is for data. A stderr that can't be written stops nothing.

    What would move a terminal's cursor, as texts of a data set may, is replaced.
    """
    with suppress(OSError):
        click.echo(f"fedbench: {visible(line)}", err=True)


@dataclass
class App:
    """What every command shares: the installed plugins, loaded when first needed."""

    blocked: tuple[str, ...] = ()
    """Names of plugins that are not loaded (``-p no:NAME``)."""
    strict: bool = False
    """Whether a broken plugin ends the command (``--strict-plugins``)."""

    @cached_property
    def plugins(self) -> Plugins:
        """The installed plugins."""
        return Plugins(blocked=self.blocked, strict=self.strict, warn=warn)

    @cached_property
    def catalog(self) -> Catalog:
        """What the plugins register."""
        return Catalog(self.plugins)


class LazyGroup(click.Group):
    """The command group: built-in commands are modules of this package, plugins add further ones."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the built-in commands, then those of plugins."""
        self._add_plugin_commands(ctx)
        return [*COMMANDS, *sorted(set(self.commands) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a built-in command, or look up one of a plugin; None if there is none."""
        if name in COMMANDS:
            return import_module(f"fedbench.cli.{name}").command  # type: ignore[no-any-return]
        self._add_plugin_commands(ctx)
        return super().get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command; :class:`UsageError` with a suggestion for an unknown one."""
        name = args[0]
        known = name.startswith("-") or ctx.resilient_parsing or self.get_command(ctx, name) is not None
        if not known:
            raise UsageError(f"unknown command {name!r}", fix=suggest(name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def _add_plugin_commands(self, ctx: click.Context) -> None:
        if ctx.obj is None:
            ctx.obj = _app(ctx.params)
            ctx.obj.plugins.add_commands(self)


def _app(params: dict[str, Any]) -> App:
    switches = params.get("switches") or ()
    wrong = [switch for switch in switches if not switch.startswith("no:")]
    if wrong:
        raise UsageError(f"-p {wrong[0]}", why="only no:NAME is known, which blocks a plugin")
    return App(tuple(switch[3:] for switch in switches), bool(params.get("strict_plugins")))


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True
)
@click.option(
    "-p", "switches", metavar="no:NAME", multiple=True, help="Don't load the plugin NAME. Repeatable."
)
@click.option("--strict-plugins", is_flag=True, help="A broken plugin ends the command with exit code 3.")
@click.version_option(__version__, prog_name="fedbench")
@click.pass_context
def cli(ctx: click.Context, switches: tuple[str, ...], strict_plugins: bool) -> None:
    """Benchmarks for federated multimodal learning.

    Exit codes: 0 fine, 1 the thing asked about is bad, 2 usage or bad input, 3 a plugin failed under
    --strict-plugins, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    elif ctx.obj is None:
        ctx.obj = _app(ctx.params)


def main() -> None:
    """Run the command and exit; an error is one line on stderr (all of it with FEDBENCH_DEBUG=1)."""
    _print_what_can_be()
    try:
        result = cli.main(prog_name="fedbench", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except FedbenchError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        warn(str(error))
        code = error.exit_code
    except click.ClickException as error:
        line = " ".join(error.format_message().split()).rstrip(".")
        if isinstance(error, click.UsageError) and error.ctx is not None:
            line += f" — see `{error.ctx.command_path} --help`"
        warn(line)
        code = 2
    except (KeyboardInterrupt, click.Abort):
        warn("interrupted")
        code = 130
    except BrokenPipeError:
        _discard_output()
        code = 1
    except OSError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        _discard_output()
        warn(
            str(
                FedbenchError("can't read or write", where=error.filename or "the output", why=error.strerror)
            )
        )
        code = 1
    sys.exit(code)


def _print_what_can_be() -> None:
    """Let characters that the terminal's encoding lacks (cp1252, latin-1) be replaced instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # no stream, or not one with an encoding
            unicode = stream.encoding.lower().replace("-", "").startswith("utf")
            stream.reconfigure(errors="backslashreplace" if unicode else "replace")  # type: ignore[union-attr]


def _discard_output() -> None:
    """Give up what is still to be written to stdout, which would fail once more when Python ends."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
