"""A cache of fitted reward models: fitted once per scenario and seed, shared by every method."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from fedbench.api.metrics import Costs, Measure
from fedbench.data.features import writing_cache
from fedbench.environment import device_class
from fedbench.files import atomic_path, locked
from fedbench.fingerprint import sha256_json
from fedbench.params import own
from fedbench.preference.fitting import FittedRewardModels
from fedbench.preference.reward_models import ClientRewardModel, RewardTask

MEASURES = TypeAdapter(dict[str, Measure])


class RewardModelCache:
    """Fitted reward models below ``folder``, a file for each key; ``say`` gets a line when one is made."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say

    def get(
        self, key: Mapping[str, Any], tasks: Sequence[RewardTask], fit: Callable[[], FittedRewardModels]
    ) -> FittedRewardModels:
        """The reward models for ``key``, read or else fitted; a file that can't be read is made again.

        Models that are there need no folder that can be written; :class:`UsageError` if others can't be.
        """
        path = self.folder / f"{sha256_json(key)[:32]}.safetensors"
        if there := _sound(path, tasks, lambda line: None):
            return there
        lock = path.with_suffix(".lock")
        with writing_cache("cache of reward models", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            held = locked(
                lock, lambda: self.say(f"waiting for another process that fits these reward models ({lock})")
            )
        with held:
            if there := _sound(path, tasks, self.say):
                return there
            begin = time.perf_counter()
            self.say(f"fitting {len(tasks)} clients' reward models (once per scenario and seed)")
            fitted = fit()
            with writing_cache("cache of reward models", self.folder):
                _write(path, fitted)
            self.say(f"fitted in {time.perf_counter() - begin:.0f} s")
        return fitted


def machine(device: torch.device) -> list[Any]:
    """What the last bits of a fit depend on beside its inputs."""
    return [device_class(device), torch.get_num_threads(), torch.__version__]


def _write(path: Path, fitted: FittedRewardModels) -> None:
    tensors = {str(k): model.params.cpu().contiguous() for k, model in enumerate(fitted.models)}
    # NaN is kept: a model that diverged, or a client that no comparison is about, has such figures.
    note = json.dumps(
        {
            "scales": [[model.mean, model.deviation] for model in fitted.models],
            "costs": asdict(fitted.costs),
            "measures": {name: asdict(measure) for name, measure in fitted.measures.items()},
            "per_client": fitted.per_client,
        }
    )
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"note": note})


def _sound(path: Path, tasks: Sequence[RewardTask], say: Callable[[str], None]) -> FittedRewardModels | None:
    """Read the models at ``path``; None if there are none, or if they are damaged, which ``say`` gets."""
    if not path.exists():
        return None
    try:
        return _read(path, tasks)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        say(f"fitted reward models {path} are damaged ({error}); fitting them again")
        return None


def _read(path: Path, tasks: Sequence[RewardTask]) -> FittedRewardModels:
    with safe_open(path, framework="pt") as file:
        note = json.loads(file.metadata()["note"])
        params = own({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    models = [
        ClientRewardModel(
            client=k,
            model=task.model,
            params=params[str(k)].to(task.device),
            mean=mean,
            deviation=deviation,
            view=task.view,
        )
        for k, (task, (mean, deviation)) in enumerate(zip(tasks, note["scales"], strict=True))
    ]
    return FittedRewardModels(
        models=models,
        costs=Costs(**note["costs"]),
        measures=MEASURES.validate_python(note["measures"]),
        per_client=note["per_client"],
    )
