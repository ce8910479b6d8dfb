"""What a user may ask for as an executor, and the rule by which ``auto`` chooses. No torch."""

from __future__ import annotations

import re
from typing import Literal, get_args

from fedbench.errors import UsageError, suggest

ExecutorName = Literal["auto", "serial", "batched", "fastest"]
"""What may be asked for: what the rule says, one client at a time, the cohort at once, what is faster."""

EXECUTORS: tuple[ExecutorName, ...] = get_args(ExecutorName)

COUNTED = re.compile(r"(batched|workers):([1-9]\d{0,8})")
"""``batched`` with the most clients in one pass, ``workers`` with the number of processes."""

ChosenBy = Literal["name", "rule", "measurement"]
"""How a run came to its executor: it was named, the rule of ``auto`` chose it, or ``fastest`` timed both."""

EXAMPLES_IN_A_PASS = {"cpu": 512, "cuda": 4096}
"""Most examples in one pass of ``auto``: a pass of so many keeps the device busy, more only take memory."""

NUMBERS_IN_A_PASS = {"cpu": 1 << 27, "cuda": 1 << 30}
"""Most parameters of clients in one pass of ``auto``; local training holds about six copies of them."""


def parse_executor(text: str) -> tuple[str, int | None]:
    """Read ``serial``, or ``batched:4`` as ``batched`` with four clients in one pass, or ``workers:2`` as
    ``workers`` in two processes; the name, and the number if one is said. Raises :class:`UsageError`.

    >>> parse_executor("batched:4")
    ('batched', 4)
    >>> parse_executor("auto")
    ('auto', None)
    """
    if match := COUNTED.fullmatch(text):
        return match[1], int(match[2])
    if text in EXECUTORS:
        return text, None
    counted = "batched:4 takes four clients in one pass, workers:2 trains in two processes"
    fix = counted if ":" in text or text == "workers" else suggest(text, EXECUTORS)
    raise UsageError(f"unknown executor {text!r}", fix=fix)


def chunk_by_rule(*, clients: int, batch_size: int, parameters: int, device_type: str) -> int:
    """Compute how many clients ``auto`` trains in one pass, from numbers of the scenario alone.

    The cohort of ``clients``, or as many of them as stay within :data:`EXAMPLES_IN_A_PASS` at ``batch_size``
    examples each and within :data:`NUMBERS_IN_A_PASS` at ``parameters`` each; at least one. Nothing is timed
    and no free memory is asked for, so that the same scenario gives the same chunk in every process.

    >>> chunk_by_rule(clients=5, batch_size=16, parameters=100_000, device_type="cpu")
    5
    >>> chunk_by_rule(clients=5, batch_size=16, parameters=200_000_000, device_type="cpu")
    1
    """
    examples = EXAMPLES_IN_A_PASS.get(device_type, EXAMPLES_IN_A_PASS["cuda"])
    numbers = NUMBERS_IN_A_PASS.get(device_type, NUMBERS_IN_A_PASS["cuda"])
    return max(1, min(clients, examples // batch_size, numbers // parameters))
