"""``fedbench leaderboard``: boards over records. A module for each sub-command, imported when called."""

from __future__ import annotations

from importlib import import_module

import click

from fedbench.errors import UsageError, suggest

COMMANDS = ("show", "run", "add", "verify", "build", "publish")


class Lazy(click.Group):
    """The sub-commands, each a module of this package that is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the sub-commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a sub-command; :class:`UsageError` with a suggestion for an unknown one."""
        if name not in COMMANDS:
            raise UsageError(f"unknown command 'leaderboard {name}'", fix=suggest(name, COMMANDS))
        return import_module(f"fedbench.cli.leaderboard.{name}").command  # type: ignore[no-any-return]


@click.group("leaderboard", cls=Lazy)
def command() -> None:
    """Show, fill, check, build and publish leaderboards over records."""
