"""Registration of data sets that a scenario describes by the columns of a table."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench import DatasetSpec, hookimpl
from fedbench_huggingface.options import ImageTextOptions
from fedbench_huggingface.preference_options import PreferencesOptions


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
    yield DatasetSpec(
        name=PreferencesOptions.name,
        factory="fedbench_huggingface.preferences:preferences",
        summary="your own preferences: a table of images, questions and a better and a worse answer each",
        options=PreferencesOptions,
        licence="your own",
        suites="fedbench_huggingface.preference_options:preference_suites",
    )
