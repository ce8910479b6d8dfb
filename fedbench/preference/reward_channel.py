"""All that passes between the server and reward models: answers down, numbers up."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL.Image import Image
from torch import Tensor

from fedbench.api.metrics import BYTES_PER_NUMBER, Costs
from fedbench.api.reward_fuser import ResponseBatch, client_name
from fedbench.errors import FedbenchError
from fedbench.federation.faults import FaultModel
from fedbench.federation.schedule import LeftOut
from fedbench.preference.reward_models import RewardScorer


@dataclass(frozen=True)
class ChannelReport:
    """What passed through a channel in a round.

    ``cohort``: the clients that were queried, ascending. ``left_out``: why and in how many steps a client did
    not answer, by client. ``queried``: how many answers each source was queried about, by name.
    """

    cohort: list[int]
    costs: Costs
    left_out: dict[str, str]
    queried: dict[str, int]


class RewardChannel:
    """Queries sources, refuses anything but one number per answer, plays the faults and counts the bytes:
    image, prompt and answer down, a number up, both for clients only (MoR, arXiv 2605.03426, its accounting).
    """

    def __init__(
        self, sources: Sequence[RewardScorer], images: Sequence[Image], fault_model: FaultModel
    ) -> None:
        self.sources, self.fault_model = sources, fault_model
        self.names = [s.name if s.client is None else client_name(s.client) for s in sources]
        if len(set(self.names)) < len(sources):
            raise FedbenchError(
                f"two of the sources have one name: {', '.join(self.names)}",
                why="what each is queried about is counted by name, a client's by the client",
            )
        self._image_bytes = _ImageBytes(images)
        self._reset()

    @cached_property
    def clients(self) -> list[int]:
        """The clients among the sources."""
        return [source.client for source in self.sources if source.client is not None]

    def query(self, step: int, responses: ResponseBatch, weights: Tensor) -> Tensor:
        """Rewards [N, K] of N answers by K sources; NaN where ``weights`` [N, K] is 0, the source did not
        answer, or what it returned is not finite."""
        rewards = torch.full(weights.shape, torch.nan)
        silent = self._silent(step)
        for column, source in enumerate(self.sources):
            rows = weights[:, column].nonzero().squeeze(1)
            if not len(rows):
                continue
            self._queried[self.names[column]] += len(rows)
            if source.client is None:
                rewards[rows, column] = _scores(source, responses.rows(rows))
                continue
            self.costs += Costs(downlink_bytes=self._bytes_down(responses, rows.tolist()))
            if source.client in silent:
                self._unanswered[source.client][silent[source.client]] += 1
                continue
            rewards[rows, column] = self._returned(step, source, source.client, responses.rows(rows))
        return rewards

    def close_round(self, steps: int) -> ChannelReport:
        """Report on a round of ``steps`` steps and count from zero again."""
        named = zip(self.sources, self.names, strict=True)
        report = ChannelReport(
            cohort=sorted(s.client for s, name in named if s.client is not None and self._queried[name]),
            costs=self.costs,
            left_out={
                str(client): ", ".join(f"{why} in {n} of {steps} steps" for why, n in reasons.items())
                for client, reasons in sorted(self._unanswered.items())
            },
            queried={name: self._queried[name] for name in self.names},
        )
        self._reset()
        return report

    def _reset(self) -> None:
        self.costs = Costs()
        self._unanswered: dict[int, Counter[str]] = defaultdict(Counter)
        self._queried: Counter[str] = Counter()

    def _silent(self, step: int) -> dict[int, str]:
        """The clients that do not answer in this step, and why."""
        late = dict.fromkeys(self.fault_model.late(step, self.clients), LeftOut.LATE.value)
        return late | dict.fromkeys(self.fault_model.dropped(step, self.clients), LeftOut.DROPPED_OUT.value)

    def _returned(self, step: int, source: RewardScorer, client: int, responses: ResponseBatch) -> Tensor:
        """The rewards [n] that arrive from a client."""
        begin = time.perf_counter()
        rewards = self.fault_model.tampered_rewards(step, client, _scores(source, responses))
        self.costs += Costs(
            uplink_bytes=BYTES_PER_NUMBER * len(rewards), client_seconds=time.perf_counter() - begin
        )
        if not rewards.isfinite().all():
            self._unanswered[client][LeftOut.NOT_FINITE.value] += 1
        return torch.where(rewards.isfinite(), rewards, torch.nan)

    def _bytes_down(self, responses: ResponseBatch, rows: Sequence[int]) -> int:
        """Image, prompt and answer of each of ``rows``."""
        images = responses.images.tolist()
        return sum(
            self._image_bytes[images[row]] + sum(len(text.encode()) for text in responses.words[row])
            for row in rows
        )


def _scores(source: RewardScorer, responses: ResponseBatch) -> Tensor:
    """The source's rewards [N] on the CPU; an error if it returns anything else."""
    scores = source.score(responses).cpu()
    if scores.shape != (len(responses.ids),):
        raise FedbenchError(
            f"{source.name} answers with a tensor of shape {list(scores.shape)}",
            why=f"{len(responses.ids)} answers are worth as many numbers, and nothing else leaves",
        )
    return scores.float()


class _ImageBytes(dict[int, int]):
    """Bytes of an image's pixels, 8 bit RGB, by its number; looked up once."""

    def __init__(self, images: Sequence[Image]) -> None:
        super().__init__()
        self.images = images

    def __missing__(self, index: int) -> int:
        width, height = self.images[index].size
        self[index] = 3 * width * height
        return self[index]
