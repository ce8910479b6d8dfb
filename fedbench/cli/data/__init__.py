"""``fedbench data``: what a scenario's data is, before it is used. A module for each sub-command."""

from __future__ import annotations

from importlib import import_module

import click

from fedbench.errors import UsageError, suggest

COMMANDS = ("check",)


class Lazy(click.Group):
    """The sub-commands, each a module of this package that is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the sub-commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a sub-command; :class:`UsageError` with a suggestion for an unknown one."""
        if name not in COMMANDS:
            raise UsageError(f"unknown command 'data {name}'", fix=suggest(name, COMMANDS))
        return import_module(f"fedbench.cli.data.{name}").command  # type: ignore[no-any-return]


@click.group("data", cls=Lazy)
def command() -> None:
    """Look at a scenario's data before it is used."""
