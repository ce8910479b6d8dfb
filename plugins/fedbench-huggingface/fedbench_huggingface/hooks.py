"""Registration of data sets that a scenario describes by the columns of a table."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench import DatasetSpec, hookimpl


@hookimpl
def fedbench_register_datasets() -> Iterator[DatasetSpec]:
    """Register the data sets."""
    yield from ()
