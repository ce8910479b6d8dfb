"""The start of instruction tuning: the nano backbone with a projector that was pre-trained on captions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fedbench_emoji.backbone import nano
from safetensors import SafetensorError
from safetensors.torch import load_file

from fedbench import Backbone, Options, UsageError, sha256_file, sha256_json

FILE = Path(__file__).parent / "assets" / "nano-sighted" / "projector.safetensors"
PROJECTOR = "projector"


def nano_sighted(options: Options) -> Backbone:
    """Load nano and the projector: fp16 on disk, fp32 in memory."""
    base = nano(options)
    try:
        digest = sha256_file(FILE)
        projector = load_file(FILE)[PROJECTOR].float()
    except (OSError, KeyError, SafetensorError) as error:
        raise UsageError(
            "can't read the pre-trained projector", where=FILE, why=error, fix="reinstall fedbench-tuning"
        ) from error
    return replace(
        base,
        name="nano-sighted",
        fingerprint=sha256_json({"nano": base.fingerprint, "projector": digest}),
        projector=projector,
    )
