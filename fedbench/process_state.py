"""State of the process that strangers' code must not leave changed, and its standard output."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Getter = Callable[[], Any]
Setter = Callable[[Any], object]


@contextmanager
def output_on_stderr() -> Iterator[None]:
    """Send what is written to stdout, by Python or below it, to stderr: stdout is for data."""
    stdout, copy = sys.stdout, None
    with suppress(AttributeError, OSError, ValueError):  # closed, or no file: a notebook's, a test's
        if stdout.fileno() == 1:
            stdout.flush()
            copy = os.dup(1)
            os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout
        if copy is not None:
            os.dup2(copy, 1)
            os.close(copy)


@contextmanager
def preserved(report: Callable[[str], None]) -> Iterator[None]:
    """Restore the process's state when the block ends.

    ``report`` gets what the block left changed, such as ``torch's threads (1 → 4), the environment (HOME)``;
    it is not called if that is nothing. Torch and NumPy count where they are imported before the block.
    """
    aspects = _aspects()
    before = {name: get() for name, (get, _) in aspects.items()}
    environment = dict(os.environ)
    generator = _torch_generator()
    try:
        yield
    finally:
        changed = [text for name, pair in aspects.items() if (text := _restored(name, before[name], *pair))]
        if variables := _differing(environment, os.environ):
            changed.append(f"the environment ({', '.join(variables)})")
            for name in variables:
                os.environ.pop(name, None)
            os.environ.update({name: environment[name] for name in variables if name in environment})
        if generator is not None and generator():
            changed.append("torch's seed")
        if changed:
            report(", ".join(changed))


def _restored(name: str, before: Any, get: Getter, put: Setter) -> str:
    """Restore one aspect; what had become of it, empty if it is the same."""
    after = get()
    if _same(before, after):
        return ""
    put(before)
    short = isinstance(before, str | int | float | bool) or name.startswith("torch's default")
    return f"{name} ({before} → {after})" if short else name


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, tuple) and isinstance(after, tuple):
        return len(before) == len(after) and all(map(_same, before, after))
    return bool((before == after).all()) if hasattr(before, "all") else bool(before == after)


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _aspects() -> dict[str, tuple[Getter, Setter]]:
    """By name, how each aspect of the state is read and set."""
    aspects: dict[str, tuple[Getter, Setter]] = {
        "the working directory": (_folder, lambda folder: os.chdir(folder) if folder else None),
        "Python's random numbers": (random.getstate, random.setstate),
        "the recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
    }
    if threading.current_thread() is threading.main_thread():
        aspects["what Ctrl-C does"] = (
            lambda: signal.getsignal(signal.SIGINT),
            lambda handler: signal.signal(signal.SIGINT, handler),
        )
    if numpy := sys.modules.get("numpy"):
        aspects["NumPy's random numbers"] = (numpy.random.get_state, numpy.random.set_state)
        aspects["NumPy's handling of errors"] = (numpy.geterr, lambda known: numpy.seterr(**known))
    if torch := sys.modules.get("torch"):
        aspects |= {
            "torch's threads": (torch.get_num_threads, torch.set_num_threads),
            "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
            "torch's default device": (
                torch.get_default_device,
                lambda device: torch.set_default_device(None if device.type == "cpu" else device),
            ),
            "torch's gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
            "torch's deterministic algorithms": (
                torch.are_deterministic_algorithms_enabled,
                torch.use_deterministic_algorithms,
            ),
            "torch's precision of products": (
                torch.get_float32_matmul_precision,
                torch.set_float32_matmul_precision,
            ),
        }
    return aspects


def _folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was deleted
        return ""


def _torch_generator() -> Callable[[], bool] | None:
    """A function that puts torch's global random numbers back and says whether they were seeded anew.

    Drawing from them is no change to report: making a layer does.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    state, seed = torch.get_rng_state(), torch.initial_seed()

    def restore() -> bool:
        seeded = bool(torch.initial_seed() != seed)
        torch.set_rng_state(state)
        return seeded

    return restore
