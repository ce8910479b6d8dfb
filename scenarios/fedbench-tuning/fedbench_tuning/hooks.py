"""Registration of the instruction-tuning data, the sighted start, and the scenarios over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from fedbench import BackboneSpec, DatasetSpec, Options, ScenarioSpec, hookimpl

SCENARIOS = Path(__file__).parent / "scenarios"


class TuningOptions(Options):
    """Which questions are asked, how many, and whether clients answer in codes of their own."""

    tasks: tuple[str, ...] = Field(
        (), description="kinds of questions that are asked, such as category or shape-yesno; all when empty"
    )
    pairs: int = Field(480, ge=24, multiple_of=24, description="training pairs of a task")
    items: int = Field(72, ge=24, multiple_of=24, description="questions of a task per split")
    codebooks: int = Field(
        0,
        ge=0,
        le=8,
        description="codebooks, each with pairs and items of its own, in which categories and colours are"
        " letters and no two agree on any; 0 for plain words",
    )
    seed: int = Field(0, ge=0, description="seed of the choice of questions; pictures keep their pools")


@hookimpl
def fedbench_register_backbones() -> Iterator[BackboneSpec]:
    """Register the backbone ``nano-sighted``."""
    yield BackboneSpec(
        name="nano-sighted",
        factory="fedbench_tuning.backbone:nano_sighted",
        summary="nano with a projector that was pre-trained on captions of public pictures: it can see",
        licence="Apache-2.0",
    )


@hookimpl
def fedbench_register_datasets() -> Iterator[DatasetSpec]:
    """Register the data set ``tuning``."""
    yield DatasetSpec(
        name="tuning",
        factory="fedbench_tuning.dataset:tuning",
        summary="seven kinds of questions about emoji drawings and easy-VQA's coloured shapes",
        options=TuningOptions,
        licence="Apache-2.0 (Noto), CC-BY-4.0 (Twemoji), MIT (Fluent, easy-VQA), Unicode-3.0 (CLDR)",
    )


@hookimpl
def fedbench_register_scenarios() -> Iterator[ScenarioSpec]:
    """Register the package's scenario files."""
    for path in sorted(SCENARIOS.glob("*.toml")):
        yield ScenarioSpec(path)
