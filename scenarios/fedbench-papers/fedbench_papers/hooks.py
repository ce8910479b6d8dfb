"""Registration of the two papers' checkpoints and data sets by name, and of their scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedbench import BackboneSpec, DatasetSpec, ScenarioSpec, hookimpl
from fedbench_papers.options import (
    CC12M,
    POVID,
    ClipVicuna7B,
    LlavaOneVision05B,
    MMERealWorld,
    Qwen2VL2B,
    Qwen25VL3B,
    Qwen25VL7B,
    VLFeedback,
)

SCENARIOS = Path(__file__).parent / "scenarios"


BACKBONES = (
    (Qwen25VL7B, "vlm:qwen2_5_vl", "Apache-2.0", "MoR's policy: Qwen2.5-VL-7B-Instruct"),
    (Qwen25VL3B, "vlm:qwen2_5_vl", "Qwen Research", "a reward model of MoR's: Qwen2.5-VL-3B-Instruct"),
    (Qwen2VL2B, "vlm:qwen2_vl", "Apache-2.0", "a reward model of MoR's: Qwen2-VL-2B-Instruct"),
    (LlavaOneVision05B, "vlm:llava_onevision", "Apache-2.0", "a reward model of MoR's: LLaVA-OneVision-0.5B"),
    (ClipVicuna7B, "clip:clip_llama", "MIT, Llama 2", "Fed-CMP's: CLIP ViT-L/14 and Vicuna-7B-v1.5"),
)
DATASETS = (
    (MMERealWorld, "mme:mme_realworld", "academic use", "MME-RealWorld: the right option over a wrong one"),
    (VLFeedback, "rated:vlfeedback", "unknown", "VLFeedback: the best over the worst of four rated answers"),
    (POVID, "rated:povid", "CC-BY-4.0", "POVID: an answer over the same with hallucinations written in"),
    (CC12M, "captions:cc12m", "CC12M's own", "CC12M: captions, a client for each cluster"),
)


@hookimpl
def fedbench_register_backbones() -> Iterator[BackboneSpec]:
    """Register the papers' checkpoints."""
    for options, factory, licence, summary in BACKBONES:
        yield BackboneSpec(options.name, f"fedbench_papers.{factory}", summary, options, licence)


@hookimpl
def fedbench_register_datasets() -> Iterator[DatasetSpec]:
    """Register the papers' data sets."""
    for options, factory, licence, summary in DATASETS:
        yield DatasetSpec(options.name, f"fedbench_papers.{factory}", summary, options, licence)


@hookimpl
def fedbench_register_scenarios() -> Iterator[ScenarioSpec]:
    """Register the package's scenario files."""
    for path in sorted(SCENARIOS.glob("*.toml")):
        yield ScenarioSpec(path)
