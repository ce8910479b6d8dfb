"""Registration of data sets that a scenario describes by the columns of a table."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench import DatasetSpec, hookimpl
from fedbench_huggingface.options import ImageTextOptions


@hookimpl
def fedbench_register_datasets() -> Iterator[DatasetSpec]:
    """Register the data sets."""
    yield DatasetSpec(
        name=ImageTextOptions.name,
        factory="fedbench_huggingface.image_text:image_text",
        summary="your own images and texts: a table whose columns the scenario names",
        options=ImageTextOptions,
        licence="your own",
        suites="fedbench_huggingface.options:suites",
    )
