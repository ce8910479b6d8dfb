"""Options of the checkpoints and data sets, a class each: where it is published, and what of it is used."""

from __future__ import annotations

from typing import Literal

from fedbench_huggingface.source import PATH, REVISION, Source
from pydantic import Field, model_validator

from fedbench import Location


class CheckpointOptions(Source):
    """Options of a checkpoint: safetensors, no remote code."""

    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="what the frozen weights are kept in"
    )


class QwenOptions(CheckpointOptions):
    """Options of a Qwen-VL checkpoint."""

    size: int = Field(448, ge=8, description="width and height that every image is resized to, in pixels")


class Qwen25VL7B(QwenOptions):
    """Options of Qwen2.5-VL-7B-Instruct."""

    name = "qwen2.5-vl-7b"
    path: Location = Field("Qwen/Qwen2.5-VL-7B-Instruct", description=PATH)


class Qwen25VL3B(QwenOptions):
    """Options of Qwen2.5-VL-3B-Instruct."""

    name = "qwen2.5-vl-3b"
    path: Location = Field("Qwen/Qwen2.5-VL-3B-Instruct", description=PATH)


class Qwen2VL2B(QwenOptions):
    """Options of Qwen2-VL-2B-Instruct."""

    name = "qwen2-vl-2b"
    path: Location = Field("Qwen/Qwen2-VL-2B-Instruct", description=PATH)


class LlavaOneVision05B(CheckpointOptions):
    """Options of LLaVA-OneVision-0.5B."""

    name = "llava-onevision-0.5b"
    path: Location = Field("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", description=PATH)


class ClipVicuna7B(CheckpointOptions):
    """Options of CLIP ViT-L/14 and Vicuna-7B-v1.5; ``path`` is the LLM's."""

    name = "clip-vicuna-7b"
    path: Location = Field("lmsys/vicuna-7b-v1.5", description=PATH)
    revision: str | None = Field("refs/pr/3", description=f"{REVISION}; main has no safetensors")
    vision_path: Location = Field("openai/clip-vit-large-patch14", description=PATH)
    vision_revision: str | None = Field(None, description=REVISION)


class DataOptions(Source):
    """Options of a data set in Parquet files. Splits are by image: an image is in one split only."""

    per_client: int | None = Field(None, ge=1, description="most images of a label; all when absent")
    test: float = Field(0.2, gt=0, lt=1, description="share of a client's images that suites ask about")
    seed: int = Field(0, ge=0, description="seed of the choice of images and splits")


class PreferenceOptions(DataOptions):
    """Options of a preference data set; ``clients`` and ``held_out`` name labels: subtasks or domains."""

    clients: list[str] = Field(min_length=1, description="labels that clients know preferences of")
    held_out: list[str] = Field(
        default_factory=list, description="labels that are only asked about in the end"
    )
    queries: float = Field(0.2, gt=0, lt=1, description="share of images that the policy is trained on")
    comparisons: float = Field(0.1, gt=0, lt=1, description="share of images for public validation pairs")
    skip_broken: bool = Field(
        False, description="leave out rows with an empty answer or two equal ones instead of refusing them"
    )

    @model_validator(mode="after")
    def _clients_keep_some(self) -> PreferenceOptions:
        if self.test + self.queries + self.comparisons >= 1:
            raise ValueError("test, queries and comparisons leave the clients no images")
        if both := sorted({*self.clients} & {*self.held_out}):
            raise ValueError(f"{both[0]!r} is both a client's and held out")
        return self


class MMERealWorld(PreferenceOptions):
    """Options of MME-RealWorld."""

    name = "mme-realworld"
    path: Location = Field("yifanzhang114/MME-RealWorld-Lmms-eval", description=PATH)
    clients: list[str] = Field(
        ["diagram", "book_map_poster", "position"],
        min_length=1,
        description="subtasks that clients know preferences of",
    )


class RatedOptions(PreferenceOptions):
    """Options of data without labels: a row belongs to the first domain that its id begins with."""

    domains: dict[str, list[str]] = Field(description="domain to the beginnings of the ids of its rows")


class VLFeedback(RatedOptions):
    """Options of VLFeedback."""

    name = "vlfeedback"
    path: Location = Field("MMInstruction/VLFeedback", description=PATH)


class POVID(RatedOptions):
    """Options of POVID."""

    name = "povid"
    path: Location = Field("YiyangAiLab/POVID_preference_data_for_VLLMs", description=PATH)
    revision: str | None = Field("refs/convert/parquet", description=REVISION)
    images: Location | None = Field(
        None, description="folder of the images, where the rows only name files (COCO)"
    )
    clients: list[str] = Field(
        ["detail"], min_length=1, description="domains that clients know preferences of"
    )
    domains: dict[str, list[str]] = Field(
        {"detail": [""]}, description="domain to the beginnings of the ids of its rows"
    )


class CC12M(DataOptions):
    """Options of CC12M, whose clients are clusters in SigLIP2's space."""

    name = "cc12m"
    path: Location = Field("pixparse/cc12m-wds", description=PATH)
    revision: str | None = Field("refs/convert/parquet", description=REVISION)
    image_column: str = Field("jpg", description="column of the images")
    caption_column: str = Field("txt", description="column of the captions")
    cluster_column: str = Field("cluster", description="column of the clusters, a client each")
    prompt: str = Field("Describe the image.", min_length=1, description="what stands before every caption")
    choices: int = Field(4, ge=2, description="captions to choose from in the suite test/match")
