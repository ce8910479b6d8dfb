"""Every installed preference method keeps the contract, and the identities between them hold."""

import pytest
import torch

from fedbench.api.reward_fuser import PolicyStepFeedback, RewardFuser
from fedbench.rng import torch_stream
from fedbench.testing import RewardFuserContract, ToyRewardFederation, toy_answers
from fedbench.testing.contracts import created, installed
from fedbench.testing.rewards import fuser

METHODS = [
    entry.name
    for entry in installed().methods.entries
    if entry.spec.track == "preference" and isinstance(created(entry.name), RewardFuser)
]
SMALL = {"mor": {"width": 8, "layers": 1, "heads": 2, "rounds": 1, "steps": 1, "batch_size": 4}}


def test_the_methods_are_there():
    assert {"mor", "reward-mean", "reward-single", "reward-random", "gold-reward", "pluralllm"} <= set(
        METHODS
    )


@pytest.mark.parametrize("method", METHODS)
class TestContract(RewardFuserContract):
    @pytest.fixture(autouse=True)
    def _choose(self, method, monkeypatch):
        monkeypatch.setattr(type(self), "method", method, raising=False)
        monkeypatch.setattr(type(self), "options", SMALL.get(method, {}), raising=False)


def rewards():
    return torch.randn(9, 3, generator=torch_stream(1, "rewards"))


def fused(method, given, **options):
    made = fuser(method, options)
    state = made.fit(ToyRewardFederation())
    return made.fuse(state, given, made.route(state, toy_answers(0, len(given)), 3, torch_stream(0, "r")))


def test_min_mean_and_max_are_in_order():
    given = rewards()
    low, mean, high = (fused(f"reward-{name}", given) for name in ("min", "mean", "max"))
    assert torch.equal(low, given.amin(1)) and torch.equal(high, given.amax(1))
    torch.testing.assert_close(mean, given.mean(1))
    assert (low <= mean).all() and (mean <= high).all()


def test_the_absent_count_for_nobody():
    given = torch.tensor([[1.0, torch.nan, 4.0]])
    found = [float(fused(f"reward-{name}", given)) for name in ("min", "mean", "max")]
    assert found == pytest.approx([1, 2.5, 4])


def test_random_asks_one_at_a_time_and_everyone_in_the_end():
    made = fuser("reward-random")
    weights = made.route({}, toy_answers(0, 900), 3, torch_stream(0, "r"))
    assert ((weights > 0).sum(1) == 1).all()
    assert (weights.mean(0) - 1 / 3).abs().max() < 0.06


def test_single_is_one_client_the_best_unless_told():
    federation = ToyRewardFederation()
    assert fuser("reward-single").sources(federation) == federation.client_models[2:]
    assert fuser("reward-single", {"client": 0}).sources(federation) == federation.client_models[:1]
    with pytest.raises(ValueError, match="no client 7: they are 0 to 2"):
        fuser("reward-single", {"client": 7}).sources(federation)


def test_anchors_and_averages_ask_no_client():
    federation = ToyRewardFederation()
    for method in ("gold-reward", "reward-fedavg"):
        (source,) = fuser(method).sources(federation)
        assert source.client is None


def test_pluralllm_listens_to_who_was_served_badly():
    """By hand: a = softmax((1−h)/τ), log mean e^{a r}."""
    made = fuser("pluralllm")
    state = made.fit(ToyRewardFederation())
    given, weights = rewards(), torch.full((9, 3), 1 / 3)
    torch.testing.assert_close(made.fuse(state, given, weights), given.mean(1)), "fair so far"
    unfair = torch.tensor([[2.0, 0.0, -2.0]]).expand(9, 3)
    outcome = PolicyStepFeedback(
        toy_answers(0, 9), unfair, weights, unfair.mean(1), lambda: (0.0, 0.0), lambda: 0.0
    )
    for _ in range(5):
        state = made.feedback(state, outcome)
    history = unfair[0] * (1 - 0.8**5)
    torch.testing.assert_close(state["history"], history)
    share = torch.softmax((1 - history) / 0.1, 0)
    wanted = (share * given).exp().mean(1).log()
    torch.testing.assert_close(made.fuse(state, given, weights), wanted, rtol=1e-5, atol=1e-5)
    assert share.argmax() == 2
