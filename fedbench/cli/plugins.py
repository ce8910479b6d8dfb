"""``fedbench plugins``: the installed plugins and their status."""

from __future__ import annotations

import click

from fedbench.catalog import KINDS, Catalog
from fedbench.cli.main import App
from fedbench.cli.tables import Format, format_option, print_rows
from fedbench.factories import attribute_problem, paths


@click.command("plugins")
@format_option
@click.pass_obj
def command(app: App, format: Format) -> None:
    """List the installed plugins: active, blocked or broken, and why."""
    _collect_all(app.catalog)
    print_rows(
        [
            {
                "plugin": plugin.key,
                "version": plugin.version,
                "status": plugin.status,
                "hooks": ", ".join(hook.removeprefix("fedbench_") for hook in plugin.hooks),
                "problem": plugin.problem,
            }
            for plugin in app.plugins.all
        ],
        format,
    )


def _collect_all(catalog: Catalog) -> None:
    """Collect everything once, so that a plugin with an invalid registration shows as broken.

    Sources are read, and not imported, to see whether what a spec points at is there.
    """
    for kind in KINDS:
        for entry in catalog.registry(kind).entries:
            if problem := next(filter(None, map(attribute_problem, paths(entry.spec))), ""):
                catalog.plugins.reject(entry.plugin, ValueError(f"{kind} {entry.name!r}: {problem}"))
