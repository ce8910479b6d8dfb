"""Registration of preference data, the start policy, and the scenarios over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fedbench import BackboneSpec, DatasetSpec, Options, ScenarioSpec, hookimpl

SCENARIOS = Path(__file__).parent / "scenarios"
EMOJI = "Apache-2.0 (Noto), CC-BY-4.0 (Twemoji), MIT (Fluent), Unicode-3.0 (CLDR)"
EASYVQA = "MIT (easy-VQA)"
DIGITS = "CC-BY-4.0 (UCI digits)"


class PreferenceOptions(Options):
    """How many preferences, queries, comparisons and test items there are."""

    pairs: int = Field(400, ge=2, multiple_of=2, description="preferences of a client")
    sizes: dict[str, Annotated[int, Field(ge=2, multiple_of=2)]] = Field(
        default_factory=dict, description="preferences of single clients, by label, instead of pairs"
    )
    queries: int = Field(120, ge=2, multiple_of=2, description="the server's queries, per client")
    comparisons: int = Field(60, ge=2, multiple_of=2, description="public comparisons, per client")
    items: int = Field(150, ge=2, multiple_of=2, description="test items, per client")
    held_out: int = Field(200, ge=6, multiple_of=2, description="test items of the held-out tasks together")
    seed: int = Field(0, ge=0, description="seed of the choice of questions; pictures keep their pools")


@hookimpl
def fedbench_register_backbones() -> Iterator[BackboneSpec]:
    """Register the start policy ``nano-vlm``."""
    yield BackboneSpec(
        name="nano-vlm",
        factory="fedbench_preferences.backbone:nano_vlm",
        summary="nano with a projector and an LLM that were tuned a little to answer: a policy to be aligned",
        licence="Apache-2.0",
    )


@hookimpl
def fedbench_register_datasets() -> Iterator[DatasetSpec]:
    """Register the preference data sets."""
    for name, factory, summary, licence in (
        ("prefs-emoji", "emoji", "emoji: preferred artists, categories and kinds", EMOJI),
        ("prefs-easyvqa", "easyvqa", "easy-VQA: preferred colours, shapes and yes/no answers", EASYVQA),
        (
            "prefs-domains",
            "domains",
            "drawings, coloured shapes and handwritten digits: preferred answers",
            f"{EMOJI}, {EASYVQA}, {DIGITS}",
        ),
    ):
        yield DatasetSpec(
            name=name,
            factory=f"fedbench_preferences.dataset:{factory}",
            summary=summary,
            options=PreferenceOptions,
            licence=licence,
        )


@hookimpl
def fedbench_register_scenarios() -> Iterator[ScenarioSpec]:
    """Register the package's scenario files."""
    for path in sorted(SCENARIOS.glob("*.toml")):
        yield ScenarioSpec(path)
