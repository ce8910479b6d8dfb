"""All that passes between the server and its sources while a policy is trained: answers down, scalars up."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from PIL.Image import Image
from torch import Tensor

from fedbench.api.metrics import Costs
from fedbench.api.reward_fuser import ResponseBatch, RewardSource, client_name
from fedbench.errors import FedbenchError
from fedbench.federation.faults import FaultModel

SCALAR_BYTES = 4


@dataclass
class RewardChannel:
    """Asks sources, refuses anything but one finite number an answer, plays the faults and counts the bytes
    (image, prompt and answer down, a number up; MoR, arXiv 2605.03426, its accounting)."""

    sources: Sequence[RewardSource]
    images: Sequence[Image]
    fault_model: FaultModel
    costs: Costs = field(default_factory=Costs)
    unanswered: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    asked: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.sources):
            raise FedbenchError(
                f"two of the sources are called alike: {', '.join(self.names)}",
                why="what each is asked and answers is counted by name, a client's by the client",
            )

    @cached_property
    def names(self) -> list[str]:
        """Of the sources, as a record has them."""
        return [s.name if s.client is None else client_name(s.client) for s in self.sources]

    @property
    def cohort(self) -> list[int]:
        """The clients that have been asked this round."""
        named = zip(self.sources, self.names, strict=True)
        return sorted(j.client for j, name in named if j.client is not None and self.asked[name])

    def query(self, step: int, responses: ResponseBatch, weights: Tensor) -> Tensor:
        """Rewards [N, K]; NaN where ``weights`` [N, K] is 0, nobody answered, or what came is no number."""
        rewards = torch.full(weights.shape, torch.nan)
        remote = [j.client for j in self.sources if j.client is not None]
        silent = dict.fromkeys(self.fault_model.late(step, remote), "late")
        silent |= dict.fromkeys(self.fault_model.dropped(step, remote), "dropped out")
        for column, source in enumerate(self.sources):
            rows = weights[:, column].nonzero().squeeze(1)
            if not len(rows):
                continue
            self.asked[self.names[column]] += len(rows)
            if source.client is None:
                rewards[rows, column] = self._scalars(source, responses.rows(rows))
                continue
            self._sent(responses, rows.tolist())
            if source.client in silent:
                self.unanswered[source.client][silent[source.client]] += 1
                continue
            begin = time.perf_counter()
            found = self.fault_model.tampered_rewards(
                step, source.client, self._scalars(source, responses.rows(rows))
            )
            up = SCALAR_BYTES * len(rows)
            self.costs += Costs(uplink_bytes=up, client_seconds=time.perf_counter() - begin)
            if not found.isfinite().all():
                self.unanswered[source.client]["not finite"] += 1
                found = torch.where(found.isfinite(), found, torch.nan)
            rewards[rows, column] = found
        return rewards

    def closed(self, steps: int) -> tuple[Costs, dict[str, str], dict[str, int]]:
        """What a round of ``steps`` steps cost, who left questions unanswered and why, and how many answers
        each source was asked about; then everything starts anew."""
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
    def _scalars(source: RewardSource, responses: ResponseBatch) -> Tensor:
        found = source.score(responses).cpu()
        if found.shape != (len(responses.ids),):
            raise FedbenchError(
                f"{source.name} answers with a tensor of shape {list(found.shape)}",
                why=f"{len(responses.ids)} answers are worth as many numbers, and nothing else leaves",
            )
        return found.float()

    def _sent(self, responses: ResponseBatch, rows: Sequence[int]) -> None:
        images = responses.images.tolist()
        down = sum(
            self._image_bytes[images[row]] + sum(len(text.encode()) for text in responses.words[row])
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
