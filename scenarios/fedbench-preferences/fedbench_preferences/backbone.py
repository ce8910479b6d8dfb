"""The start policy: the nano backbone's vision encoder, and a projector and LLM that were tuned a little."""

from __future__ import annotations

from pathlib import Path

from fedbench_emoji.backbone import nano
from safetensors import SafetensorError
from safetensors.torch import load_file

from fedbench import Backbone, Options, UsageError, sha256_file, sha256_json

FILE = Path(__file__).parent / "assets" / "nano-vlm" / "policy.safetensors"
PROJECTOR = "projector"


def nano_vlm(options: Options) -> Backbone:
    """Load the policy: fp16 on disk, fp32 in memory, the LLM's weights as transformers names them."""
    base = nano(options)
    try:
        digest = sha256_file(FILE)
        weights = {name: tensor.float() for name, tensor in load_file(FILE).items()}
        projector = weights.pop(PROJECTOR)
        base.llm.load_state_dict(weights | {"lm_head.weight": weights["model.embed_tokens.weight"]})
    except (OSError, RuntimeError, KeyError, SafetensorError) as error:
        raise UsageError(
            "can't read the start policy", where=FILE, why=error, fix="reinstall fedbench-preferences"
        ) from error
    return Backbone(
        name="nano-vlm",
        fingerprint=sha256_json({"nano": base.fingerprint, "policy": digest}),
        encoder=base.encoder,
        encode=base.encode,
        shrink=base.shrink,
        llm=base.llm,
        tokenizer=base.tokenizer,
        projector=projector,
    )
