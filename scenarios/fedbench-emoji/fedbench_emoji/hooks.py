"""Registration of the nano backbone, the drawings, and the scenarios over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from fedbench import BackboneSpec, DatasetSpec, Options, ScenarioSpec, hookimpl

SCENARIOS = Path(__file__).parent / "scenarios"


class EmojiOptions(Options):
    """How pairs and questions are made from the drawings."""

    views: int = Field(4, ge=1, le=16, description="augmented views of each training drawing")
    texts_per_view: int = Field(3, ge=1, le=6, description="different texts paired with each view")
    items: int = Field(512, ge=8, description="most drawings a suite asks about, per split")
    kind_items: int = Field(
        192, ge=8, description="most drawings the kind suite asks about, per split; it offers every kind"
    )
    seed: int = Field(0, ge=0, description="seed of the choice of texts, views and questions")


@hookimpl
def fedbench_register_backbones() -> Iterator[BackboneSpec]:
    """Register the backbone ``nano``."""
    yield BackboneSpec(
        name="nano",
        factory="fedbench_emoji.backbone:nano",
        summary="EfficientNet-Lite0 trunk (ImageNet) and a 2 M parameter Llama pretrained on text",
        licence="Apache-2.0",
    )


@hookimpl
def fedbench_register_datasets() -> Iterator[DatasetSpec]:
    """Register the data set ``emoji``."""
    yield DatasetSpec(
        name="emoji",
        factory="fedbench_emoji.dataset:emoji",
        summary="1,572 concepts drawn by three artists, with names, keywords, kinds and categories",
        options=EmojiOptions,
        licence="Apache-2.0 (Noto), CC-BY-4.0 (Twemoji), MIT (Fluent), Unicode-3.0 (CLDR)",
    )


@hookimpl
def fedbench_register_scenarios() -> Iterator[ScenarioSpec]:
    """Register the package's scenario files."""
    for path in sorted(SCENARIOS.glob("*.toml")):
        yield ScenarioSpec(path)
