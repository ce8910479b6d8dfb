"""What a preference method is: a :class:`RewardFuser`.

Clients' reward models source a policy's answers; the fuser says whose judgement is asked for and what reward
comes of it. The engine asks, normalises, counts bytes, trains the policy and evaluates; scalars are all that
leaves a client. K is the number of sources, N of answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fedbench.api.aggregator import State

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ResponseBatch:
    """Answers to be scored: ``visual`` [..., T, F], the frozen vision tower's features; ``ids`` [..., L],
    prompt
    and answer, closed by eos; ``text`` [..., L, D], the frozen LLM's embeddings of them; ``mask`` [..., L],
    which of them are real. ``images`` [...] and ``words`` (prompt and answer; for N answers in a row only)
    are the same for whoever sees and reads with something else."""

    visual: Tensor
    ids: Tensor
    text: Tensor
    mask: Tensor
    images: Tensor
    words: Sequence[tuple[str, str]] = ()

    def rows(self, index: Tensor) -> ResponseBatch:
        """Answers ``index`` [n] of N."""
        words = [self.words[i] for i in index.tolist()] if self.words else ()
        index = index.to(self.ids.device)
        return ResponseBatch(
            self.visual[index], self.ids[index], self.text[index], self.mask[index], self.images[index], words
        )


class RewardSource(Protocol):
    """Something that rewards answers: a client's reward model, an average of them, the gold answer."""

    @property
    def name(self) -> str: ...

    @property
    def client(self) -> int | None:
        """Whose it is: asking it sends the answer out and a scalar back. None: the server's own."""
        ...

    def score(self, responses: ResponseBatch) -> Tensor:
        """N answers to rewards [N]."""
        ...


RouterLoss = Callable[["Tensor", "Tensor"], "Tensor"]
"""``loss(scores [C, B, K], client [C]) -> [C]``: of answers from each client's own data."""


class RewardFederation(Protocol):
    """The federation as a fuser sees it before the policy is trained. It gives no example away."""

    @property
    def widths(self) -> tuple[int, int]:
        """F and D, the widths of what is scored."""
        ...

    @property
    def clients(self) -> Sequence[RewardSource]:
        """A source for each client, its rewards normalised by its own μ and σ."""
        ...

    @property
    def uncalibrated(self) -> Sequence[RewardSource]:
        """The same with their rewards as they are."""
        ...

    @property
    def gold(self) -> RewardSource:
        """The true reward, for an upper bound: 1 for the right answer, else 0."""
        ...

    def averaged(self) -> RewardSource:
        """The clients' reward models averaged by FedAvg; an error if they are of several kinds."""
        ...

    def agreement(self) -> Tensor:
        """[K]: how often each client prefers the right answer on public validation pairs."""
        ...

    def federate(
        self, network: nn.Module, loss: RouterLoss, *, rounds: int, steps: int, batch_size: int, lr: float
    ) -> Tensor:
        """Train ``network(visual, text, mask) -> [B, K]`` by FedAvg, ``steps`` local steps a round; [P].

        The weights it has don't count: matrices start at U(±1/√fan_in), biases at 0, scales at 1. Nothing
        in it may be drawn while it runs (dropout).
        """
        ...


@dataclass(frozen=True, slots=True)
class PolicyStepFeedback:
    """What came of a policy step, for methods that learn from it. ``rewards`` [N, K], NaN where not asked;
    ``weights`` [N, K]; ``fused`` [N]. Costly ones are measured when called: ``objective()`` is GRPO's J
    before the update and after it, on the same answers; ``validation()`` the share of the server's
    validation queries that the policy now answers rightly."""

    responses: ResponseBatch
    rewards: Tensor
    weights: Tensor
    fused: Tensor
    objective: Callable[[], tuple[float, float]]
    validation: Callable[[], float]


class RewardFuser:
    """Base class of preference methods; only :meth:`route` has no default.

    What is responses may be on a GPU; states, weights and rewards are small and on the CPU.
    """

    def sources(self, federation: RewardFederation) -> Sequence[RewardSource]:
        """Whom the columns of a routing are about. Nobody: the policy stays as it starts."""
        return federation.clients

    def fit(self, federation: RewardFederation) -> State:
        """The state before the first policy step; a router is trained here."""
        return {}

    def route(self, state: State, responses: ResponseBatch, sources: int, stream: torch.Generator) -> Tensor:
        """Weights [N, K] of the sources for each answer. Those of weight 0 are not asked."""
        raise NotImplementedError

    def fuse(self, state: State, rewards: Tensor, weights: Tensor) -> Tensor:
        """Rewards [N, K] (NaN where nobody was asked or answered) to [N]: the weighted mean of those that
        came; NaN where none did."""
        came = rewards.isfinite() & (weights > 0)
        share = weights * came
        total = share.sum(1)
        fused: Tensor = (rewards.nan_to_num(0.0, 0.0, 0.0) * share).sum(1) / total
        return fused

    def feedback(self, state: State, outcome: PolicyStepFeedback) -> State:
        """The state after a policy step."""
        return state

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        """Numbers about the fuser for the log."""
        return {}
