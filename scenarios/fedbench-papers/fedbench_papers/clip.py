"""Fed-CMP's backbone: CLIP's vision tower and an LLM that has never seen anything; the projector is to be
learned (LLaVA's first stage, arXiv 2304.08485)."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionModel, LlamaForCausalLM

from fedbench import Backbone, ChatTemplate
from fedbench_papers.checkpoint import Checkpoint
from fedbench_papers.options import ClipVicuna7B
from fedbench_papers.vlm import encoder

LAYER = -2
"""LLaVA's: the last but one, without the class token."""


def clip_llama(options: ClipVicuna7B) -> Backbone:
    """A caption follows the image's tokens as plain text; no chat template."""
    local = options.local_files_only
    words = Checkpoint.at(options.path, options.revision, local_files_only=local)
    sight = Checkpoint.at(
        options.vision_path, options.vision_revision, local_files_only=local,
        option="backbone.options.vision_path",
    )  # fmt: skip
    tower = sight.model(CLIPVisionModel, "clip", options.dtype)
    processor = sight.processor(CLIPImageProcessorPil)
    llm = words.model(LlamaForCausalLM, "llama", options.dtype)
    tokenizer = words.tokenizer(llm)

    def see(images: Sequence[Image.Image]) -> Tensor:
        pixels = processor([image.convert("RGB") for image in images], return_tensors="pt")["pixel_values"]
        states = tower(pixels.to(tower.device, tower.dtype), output_hidden_states=True).hidden_states
        features: Tensor = states[LAYER][:, 1:]
        return features

    seen = sight.encoder(options.dtype)
    return Backbone(
        name=options.name,
        fingerprint=words.fingerprint(seen, options.dtype),
        encoder=seen,
        encode=encoder(tower, see, llm),
        llm=llm,
        tokenizer=tokenizer,
        frame=ChatTemplate(before=tokenizer.bos_token or "", turn="\n", lead=""),
    )
