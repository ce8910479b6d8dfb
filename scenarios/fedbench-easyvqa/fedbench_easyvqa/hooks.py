"""Registration of easy-VQA as alignment data, and of the scenarios over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from fedbench import DatasetSpec, Options, ScenarioSpec, hookimpl

SCENARIOS = Path(__file__).parent / "scenarios"


class EasyVQAOptions(Options):
    """How much of easy-VQA is used, and how its questions are put."""

    images: int = Field(
        3200, ge=1, le=3900, description="train images to learn from; validation has the rest"
    )
    items: int = Field(
        120, ge=24, multiple_of=24, description="questions a task is asked per split; 24 balances the answers"
    )
    wording: Literal["original", "short"] = Field(
        "short", description="easy-VQA's own, or the forms that the nano LLM has read"
    )
    negated: bool = Field(False, description='also ask what is absent ("is no blue shape present?")')
    seed: int = Field(0, ge=0, description="seed of the choice of images and questions")


@hookimpl
def fedbench_register_datasets() -> Iterator[DatasetSpec]:
    """Register the data set ``easy-vqa``."""
    yield DatasetSpec(
        name="easy-vqa",
        factory="fedbench_easyvqa.dataset:easyvqa",
        summary="images of one coloured shape, and four kinds of questions about its shape and colour",
        options=EasyVQAOptions,
        licence="MIT",
    )


@hookimpl
def fedbench_register_scenarios() -> Iterator[ScenarioSpec]:
    """Register the package's scenario files."""
    for path in sorted(SCENARIOS.glob("*.toml")):
        yield ScenarioSpec(path)
