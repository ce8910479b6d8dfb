"""All that passes between the server and its judges while a policy is trained: answers down, scalars up."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from PIL.Image import Image
from torch import Tensor

from fedbench.errors import FedbenchError
from fedbench.federation.faults import FaultModel
from fedbench.fusers import Judge, Judged
from fedbench.measures import Costs

SCALAR_BYTES = 4


@dataclass
class Desk:
    """Asks judges, refuses anything but one finite number an answer, plays the faults and counts the bytes
    (image, prompt and answer down, a number up; MoR, arXiv 2605.03426, its accounting)."""

    judges: Sequence[Judge]
    images: Sequence[Image]
    trouble: FaultModel
    costs: Costs = field(default_factory=Costs)
    unanswered: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    asked: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.judges):
            raise FedbenchError(
                f"two of the judges are called alike: {', '.join(self.names)}",
                why="what each is asked and answers is counted by name, a client's by the client",
            )

    @cached_property
    def names(self) -> list[str]:
        """Of the judges, as a record has them."""
        return [j.name if j.client is None else f"client {j.client}" for j in self.judges]

    @property
    def cohort(self) -> list[int]:
        """The clients that have been asked this round."""
        named = zip(self.judges, self.names, strict=True)
        return sorted(j.client for j, name in named if j.client is not None and self.asked[name])

    def ask(self, step: int, judged: Judged, weights: Tensor) -> Tensor:
        """Rewards [N, K]; NaN where ``weights`` [N, K] is 0, nobody answered, or what came is no number."""
        rewards = torch.full(weights.shape, torch.nan)
        remote = [j.client for j in self.judges if j.client is not None]
        silent = dict.fromkeys(self.trouble.late(step, remote), "late")
        silent |= dict.fromkeys(self.trouble.dropped(step, remote), "dropped out")
        for column, judge in enumerate(self.judges):
            rows = weights[:, column].nonzero().squeeze(1)
            if not len(rows):
                continue
            self.asked[self.names[column]] += len(rows)
            if judge.client is None:
                rewards[rows, column] = self._scalars(judge, judged.rows(rows))
                continue
            self._sent(judged, rows.tolist())
            if judge.client in silent:
                self.unanswered[judge.client][silent[judge.client]] += 1
                continue
            begin = time.perf_counter()
            found = self.trouble.misjudged(step, judge.client, self._scalars(judge, judged.rows(rows)))
            up = SCALAR_BYTES * len(rows)
            self.costs += Costs(uplink_bytes=up, client_seconds=time.perf_counter() - begin)
            if not found.isfinite().all():
                self.unanswered[judge.client]["not finite"] += 1
                found = torch.where(found.isfinite(), found, torch.nan)
            rewards[rows, column] = found
        return rewards

    def closed(self, steps: int) -> tuple[Costs, dict[str, str], dict[str, int]]:
        """What a round of ``steps`` steps cost, who left questions unanswered and why, and how many answers
        each judge was asked about; then everything starts anew."""
        costs, self.costs = self.costs, Costs()
        left_out = {
            str(client): ", ".join(f"{why} in {count} of {steps} steps" for why, count in reasons.items())
            for client, reasons in sorted(self.unanswered.items())
        }
        asked = {name: self.asked[name] for name in self.names}
        self.unanswered.clear()
        self.asked.clear()
        return costs, left_out, asked

    @staticmethod
    def _scalars(judge: Judge, judged: Judged) -> Tensor:
        found = judge.score(judged).cpu()
        if found.shape != (len(judged.ids),):
            raise FedbenchError(
                f"{judge.name} answers with a tensor of shape {list(found.shape)}",
                why=f"{len(judged.ids)} answers are worth {len(judged.ids)} numbers, and nothing else leaves",
            )
        return found.float()

    def _sent(self, judged: Judged, rows: Sequence[int]) -> None:
        images = judged.images.tolist()
        down = sum(
            self._image_bytes[images[row]] + sum(len(text.encode()) for text in judged.words[row])
            for row in rows
        )
        self.costs += Costs(downlink_bytes=down)

    @cached_property
    def _image_bytes(self) -> _Sizes:
        return _Sizes(self.images)


class _Sizes(dict[int, int]):
    """Bytes of an image's pixels, 8 bit RGB; looked up once."""

    def __init__(self, images: Sequence[Image]) -> None:
        super().__init__()
        self.images = images

    def __missing__(self, index: int) -> int:
        width, height = self.images[index].size
        self[index] = 3 * width * height
        return self[index]
