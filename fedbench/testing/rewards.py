"""What every reward fuser promises, as a class of tests; and a federation of toy reward models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fedbench.api.aggregator import State
from fedbench.api.reward_fuser import (
    AVERAGE,
    GOLD,
    ResponseBatch,
    RewardFederation,
    RewardFuser,
    RewardSource,
    RouterLoss,
    client_name,
)
from fedbench.models.functional import Functional
from fedbench.rng import torch_stream
from fedbench.testing.contracts import created, installed

FEATURES, WIDTH, TOKENS, LENGTH = 10, 8, 2, 5


def toy_answers(client: int, count: int, seed: int = 0) -> ResponseBatch:
    """N answers as client ``client`` has them: their images lean towards a direction of the client's own.

    >>> from fedbench.testing import toy_answers
    >>> toy_answers(client=0, count=4).mask.shape
    torch.Size([4, 5])
    """
    stream = torch_stream(seed, "answers", client)
    visual = torch.randn(count, TOKENS, FEATURES, generator=stream)
    visual[..., client] += 3
    mask = torch.arange(LENGTH) < torch.randint(1, LENGTH + 1, (count, 1), generator=stream)
    ids = torch.randint(0, 50, (count, LENGTH), generator=stream)
    text = torch.randn(count, LENGTH, WIDTH, generator=stream)
    return ResponseBatch(visual, ids, text, mask, torch.arange(count))


class ToyRewardFederation(RewardFederation):
    """A federation of toy reward models, whose last client is the most accurate.

    A router is trained by plain gradient descent at each client and then averaged.

    >>> from fedbench.testing import ToyRewardFederation
    >>> ToyRewardFederation(clients=3).validation_accuracy()
    tensor([0.5000, 0.7000, 0.9000])
    """

    def __init__(self, clients: int = 3) -> None:
        self.number = clients

    @property
    def widths(self) -> tuple[int, int]:
        """F and D: :data:`FEATURES` and :data:`WIDTH`."""
        return FEATURES, WIDTH

    @property
    def client_models(self) -> Sequence[RewardSource]:
        """The name of a reward model for each client."""
        return [RewardSource(client_name(k), k) for k in range(self.number)]

    @property
    def uncalibrated_models(self) -> Sequence[RewardSource]:
        """The same without normalisation."""
        return [RewardSource(client_name(k), k, calibrated=False) for k in range(self.number)]

    @property
    def gold(self) -> RewardSource:
        """The true reward's name."""
        return RewardSource(GOLD)

    def averaged_model(self) -> RewardSource:
        """The average's name; trains nothing."""
        return RewardSource(AVERAGE)

    def validation_accuracy(self) -> Tensor:
        """[K]: 0.5 for the first client, rising to 0.9 for the last."""
        return torch.linspace(0.5, 0.9, self.number)

    def train_router(
        self, network: nn.Module, loss: RouterLoss, *, rounds: int, steps: int, batch_size: int, lr: float
    ) -> Tensor:
        """Train ``network`` on toy answers, averaged over clients every ``steps`` steps; parameters [P]."""
        function, owners = Functional(network), torch.arange(self.number)
        params = function.init(torch_stream(0, "router"))
        for step in range(rounds * steps):
            if step % steps == 0:
                each = params.repeat(self.number, 1)
            each = each.detach().requires_grad_(True)
            parts = [toy_answers(k, batch_size, seed=step) for k in range(self.number)]
            visual, text, mask = (
                torch.stack([getattr(part, name) for part in parts]) for name in ("visual", "text", "mask")
            )
            (slope,) = torch.autograd.grad(loss(function(each, visual, text, mask), owners).sum(), each)
            each = each.detach() - lr * slope
            params = each.mean(0)
        return params


def fuser(method: str, options: Mapping[str, Any] | None = None) -> RewardFuser:
    """The reward fuser called ``method``."""
    made: RewardFuser = created(method, options)
    return made


class RewardFuserContract:
    """What every reward fuser promises, as tests. Subclass it in a test module of pytest.

    >>> from fedbench.testing import RewardFuserContract
    >>> class TestMyFuser(RewardFuserContract):
    ...     method = "my-fuser"  # as its MethodSpec calls it; the plugin must be installed
    >>> [name for name in dir(TestMyFuser) if name.startswith("test_equal")]
    ['test_equal_rewards_stay']
    """

    method: ClassVar[str]
    """The method's name."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Options to test it under; the others at their defaults."""

    def ready(self, clients: int) -> tuple[RewardFuser, State, int]:
        """The fuser after fitting, its state, and the number of its sources."""
        federation = ToyRewardFederation(clients)
        made = fuser(self.method, self.options)
        sources = len(made.sources(federation))
        return made, made.fit(federation), sources

    def fused(self, clients: int, rewards: torch.Tensor) -> torch.Tensor:
        """Rewards [N, K] fused under the routing of N answers, of which only the queried ones are seen."""
        made, state, sources = self.ready(clients)
        weights = made.route(state, toy_answers(0, len(rewards)), sources, torch_stream(0, "route"))
        return made.fuse(state, rewards[:, :sources].masked_fill(weights == 0, torch.nan), weights)

    def test_spec_is_complete(self) -> None:
        """It has a summary and a track, and each of its options a description."""
        entry = installed().methods[self.method]
        assert entry.spec.summary and entry.spec.track == "preference"
        assert all(field.description for field in entry.options.model_fields.values())

    def test_sources_are_clients_their_average_or_the_truth(self) -> None:
        """Verification knows no others: it could not say what querying them costs."""
        sources = fuser(self.method, self.options).sources(ToyRewardFederation(3))
        assert {source.name for source in sources if source.client is None} <= {AVERAGE, GOLD}

    def test_a_routing_is_a_share_for_every_source(self) -> None:
        """Weights are [N, K], not negative, and sum to 1 for each answer."""
        made, state, sources = self.ready(3)
        weights = made.route(state, toy_answers(0, 8), sources, torch_stream(0, "route"))
        assert weights.shape == (8, sources) and (weights >= 0).all()
        torch.testing.assert_close(weights.sum(1), torch.ones(8))

    def test_the_same_stream_routes_alike(self) -> None:
        """Two streams of the same name give the same routing."""
        made, state, sources = self.ready(3)
        first, second = (
            made.route(state, toy_answers(0, 8), sources, torch_stream(4, "route")) for _ in range(2)
        )
        assert torch.equal(first, second)

    def test_the_only_clients_reward_is_taken(self) -> None:
        """With one client, its reward is the fused one."""
        rewards = torch.randn(8, 1, generator=torch_stream(0, "rewards"))
        torch.testing.assert_close(self.fused(1, rewards), rewards[:, 0])

    def test_equal_rewards_stay(self) -> None:
        """Where all sources return the same reward, it is the fused one."""
        rewards = torch.randn(8, 1, generator=torch_stream(0, "rewards")).expand(8, 3)
        torch.testing.assert_close(self.fused(3, rewards), rewards[:, 0])

    def test_an_answer_that_no_source_rewards_has_no_reward(self) -> None:
        """The fused reward is NaN where no source answered."""
        made, state, sources = self.ready(3)
        weights = made.route(state, toy_answers(0, 4), sources, torch_stream(0, "route"))
        assert made.fuse(state, torch.full((4, sources), torch.nan), weights).isnan().all()
