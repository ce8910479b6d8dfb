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
from fedbench_papers.vlm import encoder, shrinking

LAYER = -2
"""The layer that LLaVA takes its features from: the last but one, without the class token."""


def clip_llama(options: ClipVicuna7B) -> Backbone:
    """Load CLIP and a Llama. A caption follows the image's tokens as plain text, without a chat template."""
    local = options.local_files_only
    words = Checkpoint.at(options.path, options.revision, local_files_only=local)
    vision = Checkpoint.at(
        options.vision_path,
        options.vision_revision,
        local_files_only=local,
        option="backbone.files.vision_path",
    )
    tower = vision.model(CLIPVisionModel, "clip", options.dtype)
    processor = vision.processor(CLIPImageProcessorPil)
    llm = words.model(LlamaForCausalLM, "llama", options.dtype)
    tokenizer = words.tokenizer(llm)

    def see(images: Sequence[Image.Image]) -> Tensor:
        pixels = processor([image.convert("RGB") for image in images], return_tensors="pt")["pixel_values"]
        states = tower(pixels.to(tower.device, tower.dtype), output_hidden_states=True).hidden_states
        features: Tensor = states[LAYER][:, 1:]
        return features

    seen = vision.encoder(options.dtype)
    return Backbone(
        name=options.name,
        fingerprint=words.fingerprint(seen, options.dtype),
        encoder=seen,
        encode=encoder(tower, see, llm),
        llm=llm,
        tokenizer=tokenizer,
        chat_template=ChatTemplate(before=tokenizer.bos_token or "", turn="\n", lead=""),
        shrink=shrinking(processor),
    )
