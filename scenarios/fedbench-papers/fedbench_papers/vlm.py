"""Vision-language checkpoints as backbones: everything up to the connector is frozen, the connector is the
projector, the language model is the LLM.

Images are resized to one resolution, so that each is the same number of tokens. LLaVA-OneVision is shown
an image as if it were one of several: one tile, closed by its newline embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import (
    LlavaOnevisionForConditionalGeneration,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    SiglipImageProcessorPil,
)

from fedbench import Backbone, Projector
from fedbench_papers.checkpoint import Checkpoint
from fedbench_papers.options import CheckpointOptions, QwenOptions
from fedbench_papers.text import TextModel

BATCH = 8
"""Images per forward pass; a tower works on thousands of patches of each."""


def qwen2_vl(options: QwenOptions) -> Backbone:
    """Load Qwen2-VL (arXiv 2409.12191)."""
    return _qwen(options, Qwen2VLForConditionalGeneration, "qwen2_vl")


def qwen2_5_vl(options: QwenOptions) -> Backbone:
    """Load Qwen2.5-VL (arXiv 2502.13923)."""
    return _qwen(options, Qwen2_5_VLForConditionalGeneration, "qwen2_5_vl")


def _qwen(options: QwenOptions, kind: Any, architecture: str) -> Backbone:
    """Load a Qwen-VL. Frozen are the vision blocks, the merger's norm and grouping of patches; its MLP is
    the projector."""
    checkpoint = _at(options)
    whole = checkpoint.model(kind, architecture, options.dtype)
    processor = checkpoint.processor(Qwen2VLImageProcessorPil)
    tokenizer = checkpoint.tokenizer(whole)
    template = checkpoint.chat_template(tokenizer, whole.config.image_token_id)
    tower, merged = whole.model.visual, processor.patch_size * processor.merge_size
    if options.size % merged:
        raise checkpoint.wrong(
            f"images can't be {options.size} pixels wide",
            f"a token of this checkpoint covers {merged} × {merged} of them",
            f"set backbone.options.size to a multiple of {merged}",
        )
    up, _, down = tower.merger.mlp
    tower.merger.mlp = nn.Identity()
    patches = options.size // processor.patch_size
    grid, tokens = torch.tensor([[1, patches, patches]]), (options.size // merged) ** 2

    def shrink(image: Image.Image) -> Image.Image:
        return image.convert("RGB").resize((options.size, options.size), Image.Resampling(processor.resample))

    def see(images: Sequence[Image.Image]) -> Tensor:
        shown = [shrink(image) for image in images]
        pixels = processor(shown, do_resize=False, return_tensors="pt")["pixel_values"]
        features: Tensor = tower(
            pixels.to(tower.device, tower.dtype), grid_thw=grid.repeat(len(images), 1).to(tower.device)
        ).pooler_output
        return features.view(len(images), tokens, -1)

    words = tokenizer(template.before, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[*words, *[whole.config.image_token_id] * tokens]])
    positions, _ = whole.model.get_rope_index(
        ids, mm_token_type_ids=(ids == whole.config.image_token_id).int(), image_grid_thw=grid
    )
    settings = (options.dtype, options.size)
    return _backbone(
        options,
        checkpoint=checkpoint,
        whole=whole,
        settings=settings,
        tower=tower,
        see=see,
        connector=(up, down),
        tokenizer=tokenizer,
        chat_template=replace(template, positions=positions[:, 0]),
        shrink=shrink,
    )


def llava_onevision(options: CheckpointOptions) -> Backbone:
    """Load LLaVA-OneVision (arXiv 2408.03326)."""
    checkpoint = _at(options)
    whole = checkpoint.model(LlavaOnevisionForConditionalGeneration, "llava_onevision", options.dtype)
    processor = checkpoint.processor(SiglipImageProcessorPil)
    tokenizer = checkpoint.tokenizer(whole)
    template = checkpoint.chat_template(tokenizer, whole.config.image_token_id)
    config, tower = whole.config, whole.model.vision_tower
    if config.projector_hidden_act != "gelu":
        raise checkpoint.wrong(
            "the checkpoint's projector is not Linear–GELU–Linear",
            f"its activation is {config.projector_hidden_act!r}",
        )
    layers = config.vision_feature_layer
    layers = [layers] if isinstance(layers, int) else layers
    first = 1 if config.vision_feature_select_strategy == "default" else 0

    def see(images: Sequence[Image.Image]) -> Tensor:
        shown = [image.convert("RGB") for image in images]
        pixels = processor(shown, return_tensors="pt")["pixel_values"]
        states = tower(pixels.to(tower.device, tower.dtype), output_hidden_states=True).hidden_states
        return torch.cat([states[layer] for layer in layers], dim=-1)[:, first:]

    connector = whole.model.multi_modal_projector
    return _backbone(
        options,
        checkpoint=checkpoint,
        whole=whole,
        settings=(options.dtype,),
        tower=tower,
        see=see,
        connector=(connector.linear_1, connector.linear_2),
        tokenizer=tokenizer,
        chat_template=replace(template, closing=whole.model.image_newline[None].float()),
        shrink=shrinking(processor),
    )


def _at(options: CheckpointOptions) -> Checkpoint:
    return Checkpoint.at(options.path, options.revision, local_files_only=options.local_files_only)


def _backbone(
    options: CheckpointOptions,
    *,
    checkpoint: Checkpoint,
    whole: Any,
    settings: tuple[Any, ...],
    tower: nn.Module,
    see: Callable[[Sequence[Image.Image]], Tensor],
    connector: tuple[nn.Linear, nn.Linear],
    **fields: Any,
) -> Backbone:
    text = whole.config.text_config
    if "sliding_attention" in (text.layer_types or ()):
        raise checkpoint.wrong("the checkpoint's LLM does not see all of a text", "it has sliding attention")
    llm = TextModel(whole.model.language_model, whole.lm_head)
    return Backbone(
        name=options.name,
        fingerprint=checkpoint.fingerprint(*settings),
        encoder=checkpoint.encoder(*settings),
        encode=encoder(tower, see, llm),
        llm=llm,
        projector=flat(*connector),
        **fields,
    )


def encoder(
    tower: nn.Module, see: Callable[[Sequence[Image.Image]], Tensor], llm: Any
) -> Callable[[Sequence[Image.Image]], Tensor]:
    """Wrap ``see`` to take a few images at a time, on the LLM's device; features [N, T, F] fp32 on the
    CPU."""

    @torch.inference_mode()
    def encode(images: Sequence[Image.Image]) -> Tensor:
        tower.to(llm.device)
        starts = range(0, len(images), BATCH)
        return torch.cat([see(images[start : start + BATCH]).float().cpu() for start in starts])

    return encode


def shrinking(processor: Any) -> Callable[[Image.Image], Image.Image]:
    """What ``processor`` does to an image's size: a function that resizes and crops it as it would."""

    def shrink(image: Image.Image) -> Image.Image:
        sized = processor(image.convert("RGB"), do_rescale=False, do_normalize=False)["pixel_values"][0]
        return Image.fromarray(np.moveaxis(np.asarray(sized, dtype=np.uint8), 0, -1))

    return shrink


def flat(up: nn.Linear, down: nn.Linear) -> Tensor:
    """Flatten a connector's parameters to [P], as :class:`Projector` lays them out."""
    projector = Projector(up.in_features, up.out_features, down.out_features)
    tensors = {}
    for name, layer in (("up", up), ("down", down)):
        tensors[f"{name}.weight"] = layer.weight
        tensors[f"{name}.bias"] = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
    return projector.space.flatten(tensors).detach()
