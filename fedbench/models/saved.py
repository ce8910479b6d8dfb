"""A trained model as a folder: a projector, and adapters in peft's own format.

``adapter_config.json`` and ``adapter_model.safetensors`` are what ``peft.PeftModel.from_pretrained`` reads;
``projector.safetensors`` has the connector's tensors by name. Nothing in it is code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fedbench.api.adapters import LORA_A, LORA_B
from fedbench.errors import UsageError
from fedbench.files import atomic_path, write_atomic
from fedbench.fingerprint import sha256_file, sha256_json

ADAPTER_CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"
PROJECTOR = "projector.safetensors"
PREFIX = "base_model.model."
"""What peft puts before a module's path in the LLM."""

BACKBONE = "fedbench_backbone"
"""Where a saved model names the hash of the backbone that it belongs to."""

NEGLIGIBLE = 1e-6
"""Singular values below this share of the largest are rounding."""


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """What was trained of one model."""

    projector: Mapping[str, Tensor] = field(default_factory=dict)
    """The connector's tensors; empty: none was saved."""
    adapters: Mapping[str, Tensor] = field(default_factory=dict)
    """A [r, I] and B [O, r] of each adapted linear, by peft's names after :data:`PREFIX`."""
    alpha: float = 1.0
    """α of the adapters."""
    backbone: str = ""
    """sha256 of the backbone; empty: not said."""

    @property
    def rank(self) -> int:
        """r of the adapters; 0 without any."""
        return max((len(value) for name, value in self.adapters.items() if name.endswith(LORA_A)), default=0)

    def write(self, folder: Path) -> None:
        """Write the folder's files, each atomically."""
        note = {BACKBONE: self.backbone}
        if self.projector:
            _save(folder / PROJECTOR, self.projector, note)
        if self.adapters:
            _save(folder / ADAPTER, {f"{PREFIX}{name}": value for name, value in self.adapters.items()}, note)
            write_atomic(folder / ADAPTER_CONFIG, json.dumps(self._config(), indent=2) + "\n")

    def _config(self) -> dict[str, Any]:
        """peft's configuration; linears whose rank is another than the largest are named one by one."""
        ranks = {
            name.removesuffix(LORA_A): len(value)
            for name, value in self.adapters.items()
            if name.endswith(LORA_A)
        }
        other = {path: rank for path, rank in ranks.items() if rank != self.rank}
        scale = self.alpha / self.rank
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": None,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "target_modules": sorted(ranks),
            "rank_pattern": other,
            "alpha_pattern": {path: scale * rank for path, rank in other.items()},
            "bias": "none",
            "inference_mode": True,
        }

    @classmethod
    def read(cls, folder: Path) -> SavedModel:
        """Read a folder that was written here, or peft's alone; :class:`UsageError` if it is neither."""
        if not (folder / PROJECTOR).exists() and not (folder / ADAPTER).exists():
            raise UsageError(
                "there is no model",
                where=folder,
                why=f"it has neither {PROJECTOR} nor {ADAPTER}",
                fix="name a folder that fedbench run --save-model or peft has written",
            )
        try:
            projector, of_projector = _load(folder / PROJECTOR)
            adapters, of_adapters = _load(folder / ADAPTER)
            config = json.loads((folder / ADAPTER_CONFIG).read_text()) if adapters else {}
            alpha = float(config["lora_alpha"]) if adapters else 1.0
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise UsageError("the model can't be read", where=folder, why=error) from error
        return cls(
            projector=projector,
            adapters={name.removeprefix(PREFIX): value for name, value in adapters.items()},
            alpha=alpha,
            backbone=of_projector.get(BACKBONE) or of_adapters.get(BACKBONE) or "",
        )


def folder_of(path: Path) -> Path:
    """The model's folder that ``path`` names: itself, or that beside a record or in a run's folder."""
    folder = path.parent if path.is_file() else path
    return folder / FOLDER if (folder / FOLDER).is_dir() else folder


FOLDER = "model"
"""The folder of a run's model, in the run's own."""


def folder_sha256(folder: Path) -> str:
    """Hash the content of a model's files."""
    there = [name for name in (ADAPTER_CONFIG, ADAPTER, PROJECTOR) if (folder / name).is_file()]
    return sha256_json({name: sha256_file(folder / name) for name in there})


def factored(delta: Tensor) -> tuple[Tensor, Tensor]:
    """B [O, r] and A [r, I] with B A = ``delta`` [O, I], of the least rank r that rounding allows."""
    u, sigma, vt = torch.linalg.svd(delta.double(), full_matrices=False)
    rank = max(1, int((sigma > NEGLIGIBLE * sigma[0]).sum()))
    root = sigma[:rank].sqrt()
    return (u[:, :rank] * root).float(), (root[:, None] * vt[:rank]).float()


def merged(
    adapters: Mapping[str, Tensor], scale: float, moves: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], float]:
    """Adapters that do what ``adapters`` times ``scale`` and the base's ``moves`` (by path, [O, I]) do
    together, and their α; their ranks differ."""
    made: dict[str, Tensor] = {}
    for path, move in moves.items():
        b, a = adapters[f"{path}{LORA_B}"], adapters[f"{path}{LORA_A}"]
        made[f"{path}{LORA_B}"], made[f"{path}{LORA_A}"] = factored(move + scale * (b @ a))
    return made, float(max(len(value) for name, value in made.items() if name.endswith(LORA_A)))


def _save(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, str]) -> None:
    ready = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(ready, temporary, metadata={"format": "pt", **note})


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A file's tensors and its note; nothing where it is not there."""
    if not path.exists():
        return {}, {}
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).float() for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
