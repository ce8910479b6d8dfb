"""The clients' reward models, fitted once per scenario and seed and shared by every method."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from fedbench.api.metrics import Costs, Measure
from fedbench.environment import device_name
from fedbench.files import atomic_path
from fedbench.fingerprint import sha256_json
from fedbench.params import own
from fedbench.preference.reward_models import ClientRewardModel, RewardTask

MEASURES = TypeAdapter(dict[str, Measure])


@dataclass(frozen=True)
class Fitted:
    """The sources, what fitting them took when it was done, and what was found out about them."""

    sources: Sequence[ClientRewardModel]
    costs: Costs
    measures: Mapping[str, Measure]
    clients: Sequence[Mapping[str, Any]]


class RewardModelCache:
    """Fitted reward models below ``folder``, a file for each ``key``."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say

    def get(self, key: Mapping[str, Any], tasks: Sequence[RewardTask], fit: Callable[[], Fitted]) -> Fitted:
        """What ``fit`` gave for ``key``; a file that can't be read is made again."""
        path = self.folder / f"{sha256_json(key)[:32]}.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if path.exists():
                try:
                    return _read(path, tasks)
                except (OSError, ValueError, KeyError, SafetensorError) as error:
                    self.say(f"fitted reward models {path} are damaged ({error}); fitting them again")
            begin = time.perf_counter()
            self.say(f"fitting {len(tasks)} clients' reward models (once per scenario and seed)")
            fitted = fit()
            _write(path, fitted)
            self.say(f"fitted in {time.perf_counter() - begin:.0f} s")
        return fitted


def _write(path: Path, fitted: Fitted) -> None:
    tensors = {str(k): source.params.cpu().contiguous() for k, source in enumerate(fitted.sources)}
    scales = [[source.mean, source.deviation] for source in fitted.sources]
    measures = {name: asdict(measure) for name, measure in fitted.measures.items()}
    # a model that diverged, or a client whom nothing was held out for, has figures that are NaN
    note = json.dumps(
        {"scales": scales, "costs": asdict(fitted.costs), "measures": measures, "clients": fitted.clients}
    )
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"note": note})


def _read(path: Path, tasks: Sequence[RewardTask]) -> Fitted:
    with safe_open(path, framework="pt") as file:
        note = json.loads(file.metadata()["note"])
        found = own({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    sources = [
        ClientRewardModel(k, task.model, found[str(k)].to(task.device), mean, deviation, task.view)
        for k, (task, (mean, deviation)) in enumerate(zip(tasks, note["scales"], strict=True))
    ]
    measures = MEASURES.validate_python(note["measures"])
    return Fitted(sources, Costs(**note["costs"]), measures, note["clients"])


def machine(device: torch.device) -> list[Any]:
    """What the last bits of a fit depend on beside its inputs."""
    return [device_name(device), torch.get_num_threads(), torch.__version__]
