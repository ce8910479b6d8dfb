"""Label flipping: every training pair with a wrong answer, for attackers to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fedbench.data.items import Pair


def flipped(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Give each pair, in order, the answer after its own among those that its prompt has.

    Prompts with a single answer ("is it a cat?") are taken together, so that yes becomes no.
    """
    answers: dict[str, set[str]] = {}
    for pair in pairs:
        answers.setdefault(pair.prompt, set()).add(pair.answer)
    alone = sorted({answer for given in answers.values() if len(given) == 1 for answer in given})
    order = {prompt: sorted(given) if len(given) > 1 else alone for prompt, given in answers.items()}
    return tuple(replace(pair, answer=_after(pair.answer, order[pair.prompt])) for pair in pairs)


def _after(answer: str, answers: list[str]) -> str:
    return answers[(answers.index(answer) + 1) % len(answers)]
