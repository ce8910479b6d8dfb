"""Checkpoints: the server's state after every round, in one safetensors file, atomically.

Of the round log a checkpoint holds only how far it had got, so that it costs the same however many rounds are
behind it. The two newest are kept. One that is damaged, or whose part of the log is, is passed over for the
one before it, and said so.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fedbench.api.metrics import Costs
from fedbench.errors import UsageError
from fedbench.federation.moved_base import MovedBase
from fedbench.federation.round_log import DamagedLog, LogMark, read_log
from fedbench.federation.run_state import RunState
from fedbench.files import atomic_path
from fedbench.fingerprint import canonical_json
from fedbench.params import own

FILES_KEPT = 2
SERVER, CLIENTS, LATE, BASE = "server/", "clients/", "late/", "base/"


@dataclass(frozen=True)
class Checkpoint:
    """A run that can be taken up again."""

    run_id: str
    """The request that it belongs to."""
    identity: dict[str, Any]
    """The code and the content that it was computed with, as JSON."""
    state: RunState
    """Where the run stands."""
    log: LogMark
    """How far its round log had got."""
    executor: dict[str, Any]
    """Name, chunk, device and threads that it trains with."""
    started: str
    """When it began, ISO 8601."""
    seconds: float
    """Seconds of work that have led here."""


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint and drop all but the newest two."""
    at = checkpoint.state
    named = {f"{SERVER}{name}": tensor for name, tensor in at.state.items()}
    named |= {f"{CLIENTS}{name}": tensor for name, tensor in at.client_state.items()}
    named |= {f"{LATE}{name}": tensor for name, tensor in at.late.items()}
    named |= {f"{BASE}{name}": tensor for name, tensor in at.moved.offset.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}
    note = canonical_json(
        {
            "run_id": checkpoint.run_id,
            "identity": checkpoint.identity,
            "round": at.round,
            "spent": asdict(at.spent),
            "moved": {"numbers": at.moved.numbers, "sent": list(at.moved.sent.items())},
            "took_part": list(at.took_part.items()),
            "log": asdict(checkpoint.log),
            "executor": checkpoint.executor,
            "started": checkpoint.started,
            "seconds": checkpoint.seconds,
        }
    )
    with atomic_path(folder / f"round-{at.round:05d}.safetensors") as temporary:
        try:
            save_file(tensors, temporary, metadata={"note": note, "sha256": _digest(tensors, note)})
        except SafetensorError as error:  # such as a full disk
            raise OSError(error) from error
    for old in _newest_first(folder)[FILES_KEPT:]:
        old.unlink()


def load(
    folder: Path, run_id: str, *, log: Path, device: torch.device, warn: Callable[[str], None]
) -> Checkpoint | None:
    """The newest sound checkpoint of run ``run_id`` whose round log ``log`` is sound too; None if there is
    no checkpoint at all.

    :class:`UsageError` if there are some and none can be taken up.
    """
    files, problem = _newest_first(folder), ""
    for path in files:
        try:
            checkpoint = _read(path, run_id, device)
            read_log(log, checkpoint.log)
            return checkpoint
        except DamagedLog as error:
            problem = str(error)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            problem = f"it is damaged ({error})"
        warn(f"can't go on from checkpoint {path}: {problem}; trying the one before it")
    if files:
        raise UsageError(
            "no checkpoint can be taken up",
            where=folder,
            why=problem,
            fix=f"delete {folder} to start the run over",
        )
    return None


def discard(folder: Path) -> None:
    """Remove a finished run's checkpoints."""
    shutil.rmtree(folder, ignore_errors=True)


def _newest_first(folder: Path) -> list[Path]:
    files = folder.glob("round-*.safetensors")
    return sorted(files, key=lambda path: (len(path.name), path.name), reverse=True)


def _read(path: Path, run_id: str, device: torch.device) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _digest(tensors, metadata["note"]) != metadata["sha256"]:
        raise ValueError("its content does not match its checksum")
    note = json.loads(metadata["note"])
    if note["run_id"] != run_id:
        raise ValueError("it belongs to another run")
    return Checkpoint(
        run_id=run_id,
        identity=note["identity"],
        state=RunState(
            round=note["round"],
            state=_side(tensors, SERVER, device),
            client_state=_side(tensors, CLIENTS, device),
            late=_side(tensors, LATE, device),
            spent=Costs(**note["spent"]),
            moved=MovedBase(
                offset=_side(tensors, BASE, device),
                numbers=note["moved"]["numbers"],
                sent=dict(note["moved"]["sent"]),
            ),
            took_part=dict(note["took_part"]),
        ),
        log=LogMark(**note["log"]),
        executor=note["executor"],
        started=note["started"],
        seconds=note["seconds"],
    )


def _side(tensors: Mapping[str, Tensor], side: str, device: torch.device) -> dict[str, Tensor]:
    """The tensors of one side, under their own names."""
    return own(
        {
            name.removeprefix(side): tensor.to(device)
            for name, tensor in tensors.items()
            if name.startswith(side)
        }
    )


def _digest(tensors: Mapping[str, Tensor], note: str) -> str:
    content = hashlib.sha256(note.encode())
    for name in sorted(tensors):
        content.update(name.encode())
        content.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return content.hexdigest()
