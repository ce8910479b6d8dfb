"""What a preference method is: a :class:`RewardFuser`.

Clients' reward models score a policy's answers; the fuser says which of them are queried about each answer
and how their rewards become one. The engine queries, normalises, counts bytes, trains the policy and
evaluates; numbers are all that leaves a client. K is the number of sources, N of answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from fedbench.api.aggregator import State

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ResponseBatch:
    """N answers to be scored, with the question that each is about.

    >>> import torch
    >>> from fedbench.testing import toy_answers
    >>> responses = toy_answers(client=0, count=5)
    >>> responses.visual.shape, responses.text.shape
    (torch.Size([5, 2, 10]), torch.Size([5, 5, 8]))
    >>> len(responses.rows(torch.tensor([0, 3])).ids)
    2
    """

    visual: Tensor
    """[..., T, F]: the frozen vision tower's features of the image."""
    ids: Tensor
    """[..., L]: token ids of prompt and answer, closed by eos."""
    text: Tensor
    """[..., L, D]: the frozen LLM's input embeddings of ``ids``."""
    mask: Tensor
    """[..., L]: True where a token is real."""
    images: Tensor
    """[...]: numbers of the images, for sources that see them with a backbone of their own."""
    words: Sequence[tuple[str, str]] = ()
    """Prompt and answer as text, only of N answers in a row; for sources that read them with a backbone of
    their own."""

    def rows(self, index: Tensor) -> ResponseBatch:
        """The answers at rows ``index`` [n]."""
        words = [self.words[i] for i in index.tolist()] if self.words else ()
        index = index.to(self.ids.device)
        return ResponseBatch(
            visual=self.visual[index],
            ids=self.ids[index],
            text=self.text[index],
            mask=self.mask[index],
            images=self.images[index],
            words=words,
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


@dataclass(frozen=True, slots=True)
class RewardSource:
    """The name of something that rewards answers: a client's reward model, an average, the true reward.

    It can't score: answers and rewards pass through the engine's reward channel, which counts them.

    >>> from fedbench.testing import ToyRewardFederation
    >>> source = ToyRewardFederation(clients=3).client_models[1]
    >>> source.name, source.client
    ('client 1', 1)
    """

    name: str
    """``client K``, ``average`` or ``gold``."""
    client: int | None = None
    """The client that holds it: querying it sends the answer out and a number back. None: the server."""
    calibrated: bool = True
    """Whether its rewards are normalised by the client's own μ and σ."""


RouterLoss = Callable[["Tensor", "Tensor"], "Tensor"]
"""``loss(scores [C, B, K], client [C]) -> [C]``: each client's loss on answers of its own data.

>>> import torch
>>> from fedbench import RouterLoss
>>> def own_answers(scores, client):  # −log softmax(z)_k: a client's answers are its own
...     return -scores.log_softmax(-1)[torch.arange(len(client)), :, client].mean(1)
>>> loss: RouterLoss = own_answers
>>> loss(torch.zeros(2, 4, 3), torch.tensor([0, 1]))
tensor([1.0986, 1.0986])
"""


class RewardFederation(Protocol):
    """The federation as a fuser sees it before the policy is trained. It shows no client's examples.

    >>> from fedbench.testing import ToyRewardFederation
    >>> federation = ToyRewardFederation(clients=3)
    >>> [source.name for source in federation.client_models]
    ['client 0', 'client 1', 'client 2']
    >>> int(federation.validation_accuracy().argmax())
    2
    """

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
        """The true reward, for an upper bound: 1 for the right answer, else 0. For privileged fusers only."""
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

    >>> import torch
    >>> from fedbench import PolicyStepFeedback
    >>> from fedbench.testing import toy_answers
    >>> step = PolicyStepFeedback(
    ...     responses=toy_answers(client=0, count=2),
    ...     rewards=torch.tensor([[1.0, torch.nan], [torch.nan, 3.0]]),
    ...     weights=torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
    ...     fused=torch.tensor([1.0, 3.0]),
    ...     objective=lambda: (0.1, 0.2),
    ...     validation=lambda: 0.5,
    ... )
    >>> step.rewards.nanmean(0)
    tensor([1., 3.])
    """

    responses: ResponseBatch
    """The N answers of the step."""
    rewards: Tensor
    """[N, K]: what each source returned; NaN where it was not queried or did not answer."""
    weights: Tensor
    """[N, K]: the routing."""
    fused: Tensor
    """[N]: the rewards that the policy was trained on; NaN where no source answered."""
    objective: Callable[[], tuple[float, float]]
    """GRPO's J before the update and after it, on the same answers. Costs a forward pass when called."""
    validation: Callable[[], float]
    """Share of the server's validation queries that the policy now answers rightly. Samples when called."""


class RewardFuser:
    """Base class of preference methods; only :meth:`route` has no default.

    Before the first policy step the engine calls :meth:`sources` and :meth:`fit`, once each. In every step it
    samples a group of answers to each query, calls :meth:`route`, queries each source about the answers for
    which it has a weight, calls :meth:`fuse`, updates the policy by GRPO and calls :meth:`feedback`;
    :meth:`diagnostics` is logged with each round. A resumed run goes on from the saved state in a new object:
    keep nothing that changes on ``self``. Responses may be on a GPU; states, weights and rewards are small
    and on the CPU.

    The mean of the clients' rewards, and what it makes of two answers:

    >>> import torch
    >>> from fedbench import RewardFuser, torch_stream
    >>> from fedbench.testing import ToyRewardFederation, toy_answers
    >>> class Mean(RewardFuser):
    ...     def route(self, state, responses, num_sources, stream):
    ...         return torch.full((len(responses.ids), num_sources), 1 / num_sources)
    >>> fuser, federation = Mean(), ToyRewardFederation(clients=2)
    >>> state = fuser.fit(federation)
    >>> weights = fuser.route(state, toy_answers(0, count=2), len(fuser.sources(federation)), torch_stream(0))
    >>> fuser.fuse(state, torch.tensor([[1.0, 3.0], [torch.nan, 5.0]]), weights)
    tensor([2., 5.])
    """

    privileged: ClassVar[bool] = False
    """Whether it may ask for the true reward, as an upper bound does; boards say so of a run that did."""

    def sources(self, federation: RewardFederation) -> Sequence[RewardSource]:
        """The K sources that a routing's columns are about. Default: each client's reward model, normalised.

        Without any the policy stays at its start.
        """
        return federation.client_models

    def fit(self, federation: RewardFederation) -> State:
        """The state before the first policy step: named tensors. Default: none.

        A router is trained here, for instance
        ``{"router": federation.train_router(network, loss, rounds=50, steps=2, batch_size=16, lr=1e-3)}``.
        """
        return {}

    def route(
        self, state: State, responses: ResponseBatch, num_sources: int, stream: torch.Generator
    ) -> Tensor:
        """Weights [N, K] of the sources for each answer. A source is not queried where its weight is 0.

        ``stream`` is a CPU generator of this step, the same in every run of the seed.
        """
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
        """The state after a policy step. Default: unchanged."""
        return state

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        """Numbers, or lists of numbers, about the fuser for the round log. Default: none."""
        return {}
