"""What a preference method is: a :class:`RewardFuser`.

Clients' reward models score a policy's answers; the fuser says which of them are queried about each answer
and how their rewards become one. The engine queries, normalises, counts bytes, trains the policy and
evaluates; numbers are all that leaves a client. K is the number of sources, N of answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fedbench.api.aggregator import State

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ResponseBatch:
    """Answers to be scored, with the question each is about.

    ``visual`` [..., T, F]: the frozen vision tower's features; ``ids`` [..., L]: token ids of prompt and
    answer, closed by eos; ``text`` [..., L, D]: the frozen LLM's embeddings of them; ``mask`` [..., L]: True
    where a token is real. ``images`` [...] (numbers of the images) and ``words`` (prompt and answer as text;
    only of N answers in a row) are for sources that read them with a backbone of their own.
    """

    visual: Tensor
    ids: Tensor
    text: Tensor
    mask: Tensor
    images: Tensor
    words: Sequence[tuple[str, str]] = ()

    def rows(self, index: Tensor) -> ResponseBatch:
        """The answers at rows ``index`` [n]."""
        words = [self.words[i] for i in index.tolist()] if self.words else ()
        index = index.to(self.ids.device)
        return ResponseBatch(
            self.visual[index], self.ids[index], self.text[index], self.mask[index], self.images[index], words
        )


GOLD = "gold"
"""Name of the true reward as a source."""
AVERAGE = "average"
"""Name of the FedAvg of the clients' reward models as a source."""
_CLIENT = re.compile(r"client (\d{1,9})")


def client_name(client: int) -> str:
    """Name of a client's reward model as a source, ``client 3``."""
    return f"client {client}"


def client_number(name: str) -> int | None:
    """The client whose reward model is called ``name``; None if ``name`` is no client's."""
    match = _CLIENT.fullmatch(name)
    return int(match[1]) if match else None


class RewardSource(Protocol):
    """Something that rewards answers: a client's reward model, an average of them, the true reward."""

    @property
    def name(self) -> str:
        """``client K``, ``average`` or ``gold``."""
        ...

    @property
    def client(self) -> int | None:
        """The client that holds it: querying it sends the answer out and a number back. None: the server."""
        ...

    def score(self, responses: ResponseBatch) -> Tensor:
        """Rewards [N] of N answers."""
        ...


RouterLoss = Callable[["Tensor", "Tensor"], "Tensor"]
"""``loss(scores [C, B, K], client [C]) -> [C]``: each client's loss on answers of its own data."""


class RewardFederation(Protocol):
    """The federation as a fuser sees it before the policy is trained. It shows no client's examples."""

    @property
    def widths(self) -> tuple[int, int]:
        """F and D: the widths of a response's visual features and of its text embeddings."""
        ...

    @property
    def client_models(self) -> Sequence[RewardSource]:
        """Each client's reward model, its rewards normalised by the client's own μ and σ."""
        ...

    @property
    def uncalibrated_models(self) -> Sequence[RewardSource]:
        """Each client's reward model without normalisation."""
        ...

    @property
    def gold(self) -> RewardSource:
        """The true reward, for an upper bound: 1 for the right answer, else 0."""
        ...

    def averaged_model(self) -> RewardSource:
        """Train one reward model by FedAvg; an error if the clients' are of several architectures."""
        ...

    def validation_accuracy(self) -> Tensor:
        """Query every client about the server's public comparisons: the share [K] that each gets right."""
        ...

    def train_router(
        self, network: nn.Module, loss: RouterLoss, *, rounds: int, steps: int, batch_size: int, lr: float
    ) -> Tensor:
        """Train ``network(visual, text, mask) -> [B, K]`` by FedAvg, ``steps`` local steps a round; its
        parameters [P].

        The weights it has don't count: matrices start at U(±1/√fan_in), biases at 0, scales at 1. Nothing
        in it may be drawn while it runs (dropout).
        """
        ...


@dataclass(frozen=True, slots=True)
class PolicyStepFeedback:
    """What came of a policy step, for fusers that learn from it.

    ``responses``: the N answers; ``rewards`` [N, K]: what each source returned, NaN where it was not queried
    or did not answer; ``weights`` [N, K]: the routing; ``fused`` [N]: the rewards that the policy was trained
    on. Two measurements are made when called, since they cost a forward pass or sampling: ``objective()``
    gives GRPO's J before the update and after it, on the same answers; ``validation()`` the share of the
    server's validation queries that the policy now answers rightly.
    """

    responses: ResponseBatch
    rewards: Tensor
    weights: Tensor
    fused: Tensor
    objective: Callable[[], tuple[float, float]]
    validation: Callable[[], float]


class RewardFuser:
    """Base class of preference methods; only :meth:`route` has no default.

    Responses may be on a GPU; states, weights and rewards are small and on the CPU.
    """

    def sources(self, federation: RewardFederation) -> Sequence[RewardSource]:
        """The K sources that a routing's columns are about. Without any the policy stays at its start."""
        return federation.client_models

    def fit(self, federation: RewardFederation) -> State:
        """The state before the first policy step; a router is trained here."""
        return {}

    def route(
        self, state: State, responses: ResponseBatch, num_sources: int, stream: torch.Generator
    ) -> Tensor:
        """Weights [N, K] of the sources for each answer. A source is not queried where its weight is 0."""
        raise NotImplementedError

    def fuse(self, state: State, rewards: Tensor, weights: Tensor) -> Tensor:
        """Fuse rewards [N, K], NaN where a source was not queried or did not answer, to [N].

        The default is the weighted mean of those that came; NaN where none did.
        """
        came = rewards.isfinite() & (weights > 0)
        share = weights * came
        total = share.sum(1)
        fused: Tensor = (rewards.nan_to_num(0.0, 0.0, 0.0) * share).sum(1) / total
        return fused

    def feedback(self, state: State, step: PolicyStepFeedback) -> State:
        """The state after a policy step."""
        return state

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        """Numbers about the fuser for the log."""
        return {}
