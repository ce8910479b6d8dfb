"""MoR's router, routings and Thompson sampling, on a federation of clients whose answers differ."""

import pytest
import torch
from fedbench_mor import thompson
from fedbench_mor.mor import MoR
from fedbench_mor.options import MoROptions
from fedbench_mor.router import cross_entropy, one_hot_bce

from fedbench.api.reward_fuser import PolicyStepFeedback
from fedbench.rng import torch_stream
from fedbench.testing import ToyRewardFederation, toy_answers

K = 3


def fitted(**options):
    settings = {"width": 16, "layers": 1, "heads": 2, "rounds": 30, "steps": 2, "batch_size": 16, "lr": 0.5}
    fuser = MoR(MoROptions(**(settings | options)))
    return fuser, fuser.fit(ToyRewardFederation())


def route(fuser, state, responses, seed=0):
    return fuser.route(state, responses, K, torch_stream(seed, "route"))


@pytest.fixture(scope="module")
def soft():
    return fitted(routing="soft")


def test_the_router_finds_whose_answers_these_are(soft):
    fuser, state = soft
    for client in range(K):
        found = fuser.scores(state, toy_answers(client, 200, 77)).argmax(1)
        assert (found == client).float().mean() > 0.9


def test_routings_are_shares_of_the_clients(soft):
    _, state = soft
    responses = toy_answers(0, 40, 5)
    shares = {name: route(MoR(MoROptions(routing=name, width=16, layers=1, heads=2)), state, responses)
              for name in ("soft", "topk", "top1")}  # fmt: skip
    for found in shares.values():
        torch.testing.assert_close(found.sum(1), torch.ones(40))
    assert ((shares["top1"] > 0).sum(1) == 1).all() and ((shares["topk"] > 0).sum(1) == 2).all()
    assert (shares["top1"].argmax(1) == shares["soft"].argmax(1)).all()


def test_soft_with_one_hot_routing_is_top1_and_equal_rewards_stay(soft):
    fuser, state = soft
    weights = torch.eye(K)[torch.tensor([0, 2, 1, 1])]
    rewards = torch.randn(4, K, generator=torch_stream(0, "r"))
    torch.testing.assert_close(fuser.fuse(state, rewards, weights), rewards[range(4), [0, 2, 1, 1]])
    same = torch.full((4, K), 1.7)
    torch.testing.assert_close(fuser.fuse(state, same, torch.rand(4, K) + 0.1), same[:, 0])


def test_who_did_not_answer_is_left_out(soft):
    fuser, state = soft
    nan = torch.nan
    rewards = torch.tensor([[1.0, nan, 3.0], [nan, nan, nan]])
    fused = fuser.fuse(state, rewards, torch.tensor([[0.25, 0.5, 0.25], [0.2, 0.4, 0.4]]))
    assert fused[0] == 2 and fused[1].isnan()


def test_a_clip_bounds_rewards(soft):
    fuser = MoR(MoROptions(clip=1.5))
    fused = fuser.fuse({}, torch.tensor([[9.0, -9.0, 0.3]] * 3), torch.eye(3))
    assert fused.tolist() == pytest.approx([1.5, -1.5, 0.3])


def test_normalisation_is_the_reward_models():
    federation = ToyRewardFederation()
    assert MoR(MoROptions()).sources(federation) == federation.client_models
    assert (
        MoR(MoROptions(normalise=False)).sources(federation)
        == federation.uncalibrated_models
        != federation.client_models
    )


def test_losses():
    scores, client = torch.randn(2, 4, K, generator=torch_stream(0, "z")), torch.tensor([1, 2])
    for row, k in enumerate(client.tolist()):
        z = scores[row]
        bce = -(z[:, k].sigmoid().log() + sum((1 - z[:, j].sigmoid()).log() for j in range(K) if j != k)) / K
        torch.testing.assert_close(one_hot_bce(scores, client)[row], bce.mean())
        torch.testing.assert_close(cross_entropy(scores, client)[row], -z.log_softmax(1)[:, k].mean())


def unit(count, d, seed):
    return torch.nn.functional.normalize(torch.randn(count, d, generator=torch_stream(seed, "h")), dim=1)


def arms(d=4, lam=0.7):
    stream = torch_stream(0, "arms")
    return thompson.first(torch.randn(K, d, generator=stream), torch.randn(K, generator=stream), lam)


def test_uncertainty_is_one_before_feedback_and_sherman_morrison_after():
    lam, h = 0.7, unit(6, 4, 1)
    start = arms()
    torch.testing.assert_close(thompson.deviations(start, h, lam), torch.ones(6, K))
    after, inverse = start, torch.eye(4, dtype=torch.float64) / lam
    for row in range(6):
        after = thompson.covariance_update(after, (row + 2) * h[row : row + 1], torch.tensor([1]))
        g = h[row].double()
        inverse = inverse - torch.outer(inverse @ g, inverse @ g) / (1 + g @ inverse @ g)
    probe = unit(5, 4, 2)
    found = thompson.deviations(after, 3 * probe, lam)
    wanted = (lam * torch.einsum("nd,de,ne->n", probe.double(), inverse, probe.double())).sqrt()
    torch.testing.assert_close(found[:, 1], wanted.float())
    torch.testing.assert_close(found[:, [0, 2]], torch.ones(5, 2)), "other arms know no more than before"


def test_the_heads_step_is_the_gradient_of_the_loss():
    lam, lr, h, arm = 0.7, 0.1, 3 * unit(5, 4, 1), torch.tensor([0, 2, 2, 1, 0])
    start = arms()
    moved = {**start, "weight": start["weight"] + 0.3}
    weight, bias = moved["weight"].clone().requires_grad_(), moved["bias"].clone().requires_grad_()
    guess = (h @ weight.T + bias).sigmoid()[range(5), arm]
    pull = (weight - start["weight0"]).square().sum() + (bias - start["bias0"]).square().sum()
    loss = 0.5 * (guess - 1.0).square().mean() + lam / 2 * pull
    slopes = torch.autograd.grad(loss, (weight, bias))
    after = thompson.head_update(moved, h, arm, 1.0, lam=lam, lr=lr)
    torch.testing.assert_close(after["weight"], (weight - lr * slopes[0]).detach())
    torch.testing.assert_close(after["bias"], (bias - lr * slopes[1]).detach())


def test_without_exploration_thompson_takes_the_best_and_with_it_others_too():
    start, h = arms(), unit(300, 4, 3)
    best = thompson.estimates(start, h).argmax(1)
    assert (thompson.chosen(start, h, 0.0, 0.7, torch_stream(0, "t")) == best).all()
    wild = thompson.chosen(start, h, 5.0, 0.7, torch_stream(0, "t"))
    assert (wild != best).float().mean() > 0.2 and len(wild.unique()) == K


@pytest.mark.parametrize("literal", [False, True])
def test_feedback_raises_the_chosen_clients_estimate_after_a_good_step(literal):
    fuser, state = fitted(rounds=1, head_lr=1.0, lam=0.01, literal_feedback=literal)
    responses = toy_answers(0, 16, 3)
    weights = torch.eye(K)[torch.zeros(16, dtype=torch.long)]

    def outcome(reward):
        fused = torch.full((16,), reward)
        return PolicyStepFeedback(
            responses, fused[:, None] * weights, weights, fused, lambda: (0.0, 0.0), lambda: 0.0
        )

    state = fuser.feedback(state, outcome(0.0))  # sets the average
    before = thompson.estimates(state, fuser._features(state, responses)).mean(0)
    after_state = fuser.feedback(state, outcome(1.0))
    after = thompson.estimates(after_state, fuser._features(after_state, responses)).mean(0)
    assert (after[0] > before[0]).item() is not literal
    torch.testing.assert_close(after[1:], before[1:])
    assert float(after_state["average"]) == pytest.approx(0.1)
    assert fuser.diagnostics(after_state)["informative"] == 1 and fuser.diagnostics(after_state)["good"] == (
        not literal
    )


def test_without_feedback_and_exploration_thompson_is_top1(soft):
    """Whoever is online starts with the router that was fitted, whatever the length of its features."""
    _, state = soft
    responses = toy_answers(0, 64, 3)
    online, still = (
        MoR(MoROptions(width=16, layers=1, heads=2, nu=0.0, routing=r)) for r in ("thompson", "top1")
    )
    head = online._router(state).head
    arms = {**state, **thompson.first(head.weight.detach(), head.bias.detach(), 1.0)}
    stream = torch_stream(0, "route")
    assert torch.equal(online.route(arms, responses, K, stream), still.route(state, responses, K, stream))


def test_feedback_from_the_objective_or_validation():
    responses, weights = toy_answers(0, 4, 3), torch.eye(K)[[0, 0, 0, 0]]
    fused = torch.zeros(4)
    for name in ("delta_j", "delta_val"):
        right = iter((0.2, 0.4)).__next__
        outcome = PolicyStepFeedback(
            responses, fused[:, None] * weights, weights, fused, lambda: (0.0, 1.0), right
        )
        fuser, state = fitted(rounds=1, head_lr=1.0, lam=0.01, feedback=name)
        after = fuser.feedback(state, outcome)
        if name == "delta_val":
            assert torch.equal(after["weight"], state["weight"]), "the first validation is the baseline"
            assert not torch.equal(after["U"], state["U"]), "a client that was queried is known better"
            after = fuser.feedback(after, outcome)
        assert not torch.equal(after["weight"], state["weight"])


def test_a_state_is_enough_to_go_on(soft):
    _, state = soft
    other = MoR(MoROptions(routing="soft", width=16, layers=1, heads=2))
    responses = toy_answers(1, 8, 9)
    torch.testing.assert_close(route(other, state, responses), route(soft[0], state, responses))
