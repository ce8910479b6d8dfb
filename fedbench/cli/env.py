"""``fedbench env``: what a run here would record about the machine, and what the caches hold."""

from __future__ import annotations

import click

from fedbench.cli.tables import Format, format_option
from fedbench.environment import describe


@click.command("env")
@format_option
def command(format: Format) -> None:
    """Show the environment, the devices and the size of the caches."""
    import json

    import torch
    from tabulate import tabulate

    from fedbench.data.features import CACHE_VARIABLE, FeatureCache

    cache = FeatureCache.default()
    entries, size = cache.size()
    found = describe()
    found["devices"] = ["cpu", *(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))]
    found["threads"] = torch.get_num_threads()
    found["feature_cache"] = {
        "folder": str(cache.folder), "entries": entries, "megabytes": round(size / 1e6, 1),
        "moved_by": CACHE_VARIABLE,
    }  # fmt: skip
    if format == "json":
        click.echo(json.dumps(found, indent=1))
        return
    rows = [
        (f"{key} {inner}", value)
        for key, values in found.items()
        if isinstance(values, dict)
        for inner, value in values.items()
    ]
    plain = [
        (key, value) for key, value in found.items() if value is not None and not isinstance(value, dict)
    ]
    click.echo(tabulate(plain + rows, tablefmt="plain", disable_numparse=True))
