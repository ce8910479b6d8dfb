"""The nano backbone: Lite0 trunk and a small Llama, both frozen."""

from __future__ import annotations

from fedbench import Backbone, Options, load_llm, sha256_json
from fedbench_emoji.assets import FOLDER, verified
from fedbench_emoji.trunk import Lite0Trunk, fit, preprocess


def nano(options: Options) -> Backbone:
    """Load and check the vendored weights."""
    vision, llm_files = verified("nano/vision"), verified("nano/llm")
    del llm_files["nano/llm/training.json"]  # how it was made; it changes no number
    trunk = Lite0Trunk.from_safetensors(FOLDER / "nano" / "vision.safetensors")
    llm, tokenizer = load_llm(FOLDER / "nano" / "llm")
    return Backbone(
        name="nano",
        fingerprint=sha256_json(vision | llm_files),
        encoder=sha256_json(vision),
        encode=lambda images: trunk(preprocess(images)),
        llm=llm,
        tokenizer=tokenizer,
        shrink=fit,
    )
