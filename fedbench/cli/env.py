"""``fedbench env``: the machine as a run would record it, and the size of the caches."""

from __future__ import annotations

import click

from fedbench.cli.tables import Format, format_option
from fedbench.environment import describe
from fedbench.errors import UsageError


@click.command("env")
@format_option
def command(format: Format) -> None:
    """Show the environment, the devices and the size of the caches."""
    import json

    import torch
    from tabulate import tabulate

    from fedbench.data.features import CACHE_VARIABLE, FeatureCache

    environment = describe()
    try:
        cache = FeatureCache.default()
        (entries, size), folder = cache.size(), str(cache.folder)
    except UsageError as error:  # nothing else depends on it
        (entries, size), folder = (0, 0), f"none: {error}"
    environment["devices"] = [
        "cpu",
        *(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())),
    ]
    environment["threads"] = torch.get_num_threads()
    environment["feature_cache"] = {
        "folder": folder,
        "entries": entries,
        "megabytes": round(size / 1e6, 1),
        "moved_by": CACHE_VARIABLE,
    }
    if format == "json":
        click.echo(json.dumps(environment, indent=1))
        return
    rows = [
        (f"{key} {inner}", value)
        for key, values in environment.items()
        if isinstance(values, dict)
        for inner, value in values.items()
    ]
    plain = [
        (key, value)
        for key, value in environment.items()
        if value is not None and not isinstance(value, dict)
    ]
    click.echo(tabulate(plain + rows, tablefmt="plain", disable_numparse=True))
