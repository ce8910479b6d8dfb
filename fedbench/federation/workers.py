"""Jobs in processes that share this one's memory: what a client of a small model takes is mostly Python's."""

from __future__ import annotations

import mmap
import multiprocessing
import pickle
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
from torch import Tensor

from fedbench.errors import UsageError

Job = Callable[[], Any]
"""What a worker does; what it returns is copied back, tensors included."""


def check_workers(device: torch.device) -> None:
    """Refuse (:class:`UsageError`) workers where they can't be: on a GPU, where processes can't be forked."""
    if device.type != "cpu":
        why, fix = (
            f"they train on the CPU, and this run is on {device.type}",
            "--executor batched, or --device cpu",
        )
    elif "fork" not in multiprocessing.get_all_start_methods():
        why, fix = "this system can't fork processes", "--executor serial or batched"
    else:
        return
    raise UsageError("--executor workers is not possible", why=why, fix=fix)


def shared_like(values: Tensor) -> Tensor:
    """Make an empty tensor like ``values``, on the CPU, that processes forked from now on share with this
    one: what they write in it need not be sent back."""
    memory = mmap.mmap(-1, max(1, values.numel() * values.element_size()))
    return torch.frombuffer(memory, dtype=values.dtype, count=values.numel()).view(values.shape)


def in_workers(jobs: Sequence[Job]) -> list[Any]:
    """Do every job in a process of its own, on one thread each; what they return, in order.

    The processes are forked: they see all that this one holds without a copy, closures of plugins included,
    and what they change stays theirs. So only on a system that forks, and never for work on a GPU.
    The first exception of a job is raised here; one whose process was killed is a RuntimeError.
    """
    context = multiprocessing.get_context("fork")
    running: dict[Connection, tuple[int, Any]] = {}
    returned: dict[int, tuple[bool, Any]] = {}
    try:
        for number, job in enumerate(jobs):
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(job, there), daemon=True)
            with warnings.catch_warnings():  # Python 3.12 warns of threads, which the jobs do not need
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            there.close()
            running[here] = number, process
        while running:
            ready = wait(list(running))
            for here in [each for each in running if each in ready]:
                number, process = running.pop(here)
                try:
                    returned[number] = pickle.loads(here.recv_bytes())
                except EOFError:
                    process.join()
                    error = RuntimeError(f"a worker ended with exit code {process.exitcode}")
                    returned[number] = False, error
                process.join()
    finally:
        for _, process in running.values():
            process.kill()
    for number in range(len(jobs)):
        done, value = returned[number]
        if not done:
            raise value
    return [returned[number][1] for number in range(len(jobs))]


def _work(job: Job, there: Connection) -> None:
    torch.set_num_threads(1)
    try:
        said = pickle.dumps((True, job()), protocol=5)
    except BaseException as error:
        said = _failure(error)
    there.send_bytes(said)
    there.close()


def _failure(error: BaseException) -> bytes:
    try:
        return pickle.dumps((False, error))
    except Exception:  # an exception that can't be copied
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
