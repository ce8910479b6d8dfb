"""The federation that fusers are given: sources who know their own field, a router trained by the round
loop."""

import numpy as np
import pytest
import torch
from fedbench_mor.mor import MoR
from fedbench_mor.options import MoROptions
from PIL import Image

from fedbench.api.aggregator import Context
from fedbench.api.cohort import Cohort
from fedbench.api.metrics import Costs
from fedbench.api.scenario import Budget, Faults, Rewards, Training
from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.federation.executors import Executor
from fedbench.federation.faults import FaultModel
from fedbench.federation.schedule import NO_FAULTS
from fedbench.models.language import LanguageModel
from fedbench.models.rewards import make_reward
from fedbench.params import ParamSpace
from fedbench.plugins import Plugins
from fedbench.preference.audit import Comparisons
from fedbench.preference.fitting import FittedRewardModels, fit_reward_models
from fedbench.preference.responses import TokenizedResponses
from fedbench.preference.reward_federation import SimulatedRewardFederation, SizeWeightedMean
from fedbench.preference.reward_models import RewardTask
from fedbench.preference.reward_problem import RewardProblem
from fedbench.rng import torch_stream

K, EACH, FEATURES = 3, 120, 112
WORDS = (("food", "animals"), ("objects", "symbols"), ("activities", "flags"))
TRAINING = Training(batch_size=16, lr=3e-3, schedule="constant")


def answered(llm, seed):
    """Client k's images lean towards direction k, and towards 10 or 11: which of its two words is right."""
    stream, count = torch_stream(seed, "panel"), K * EACH
    client, right = torch.arange(count) // EACH, torch.randint(0, 2, (count,), generator=stream)
    features = torch.randn(count, 4, FEATURES, generator=stream)
    features[torch.arange(count), :, client] += 3
    features[torch.arange(count), :, 10 + right] += 3
    prompts = ["which category?"] * count
    said = [
        [WORDS[k][r] for k, r in zip(client.tolist(), side.tolist(), strict=True)]
        for side in (right, 1 - right)
    ]
    return [
        TokenizedResponses.from_text(llm, features, images=range(count), prompts=prompts, answers=words)
        for words in said
    ]


@pytest.fixture(scope="module")
def llm():
    return LanguageModel(Catalog(Plugins()).backbones["nano"].create(None).freeze(torch.device("cpu")))


@pytest.fixture(scope="module")
def make_federation(llm):
    sides, shards = answered(llm, 0), [np.arange(EACH * k, EACH * (k + 1)) for k in range(K)]
    shared = make_reward("dual", llm, FEATURES, 16)

    def build(models=None, executor="batched", fault_model=None):
        train = Executor(executor, K if executor == "batched" else 1)
        made = {id(model): RewardTask(model, *sides, torch.ones(K * EACH)) for model in models or [shared]}
        tasks = [made[id(model)] for model in models or [shared] * K]
        models = fit_reward_models(tasks, shards, TRAINING, epochs=4, executor=train, seed=0)
        problem = RewardProblem(
            seed=0,
            tasks=tasks,
            shards=shards,
            chosen=sides[0],
            rejected=sides[1],
            comparisons=Comparisons(*answered(llm, 1), owners=np.repeat(np.arange(K), EACH)),
            gold=models[0],
            images=[Image.new("RGB", (2, 2))] * (K * EACH),
            training=TRAINING,
            rewards=Rewards(epochs=4, rounds=4),
            budget=Budget(),
            fault_model=fault_model or FaultModel(NO_FAULTS, 0, K),
        )
        fitted = FittedRewardModels(models=models, costs=Costs(), measures={}, per_client=[])
        return SimulatedRewardFederation(problem, fitted, train)

    return build


def sides(federation):
    """The better and the worse answers of the server's comparisons."""
    return federation.problem.comparisons.better, federation.problem.comparisons.worse


@pytest.fixture(scope="module")
def federation(make_federation):
    return make_federation()


def test_reward_models_know_their_own_domain_best(federation):
    better, worse = sides(federation)
    own = []
    for k, source in enumerate(federation.client_models):
        rows = torch.arange(EACH * k, EACH * (k + 1))
        own.append(
            (source.score(better.responses(rows)) > source.score(worse.responses(rows))).float().mean()
        )
    assert min(own) > 0.8
    assert federation.validation_accuracy().mean() < torch.stack(own).mean(), "on everything they know less"


def test_querying_everybody_is_paid_for(federation):
    before = federation.costs
    federation.validation_accuracy()
    answers = 2 * K * EACH
    assert federation.costs.uplink_bytes - before.uplink_bytes == 4 * K * answers
    words = sum(len(text.encode()) for side in sides(federation) for pair in side.words for text in pair)
    assert federation.costs.downlink_bytes - before.downlink_bytes == K * (12 * answers + words)


def test_faults_befall_whoever_is_queried(make_federation):
    liars = FaultModel(Faults(byzantine=0.4), 0, K)
    attacked, honest = (
        make_federation(fault_model=liars).validation_accuracy(),
        make_federation().validation_accuracy(),
    )
    assert {k for k in range(K) if attacked[k] != honest[k]} == set(liars.byzantine)
    assert (
        make_federation(fault_model=FaultModel(Faults(dropout=1.0), 0, K)).validation_accuracy() == 0
    ).all()


def test_a_router_is_averaged_by_the_clients_data():
    start = torch.zeros(2)
    updates = {
        "params": torch.tensor([[4.0, 0.0], [0.0, 4.0]]),
        "start": torch.zeros(2, 2),
        "num_examples": torch.tensor([10, 10]),
    }
    cohort = Cohort(
        round=1,
        clients=(0, 2),
        steps=torch.ones(2),
        space=ParamSpace({"w": (2,)}),
        stream=lambda *names: torch_stream(0, *names),
        **updates,
    )
    weighted = SizeWeightedMean([300, 7, 100])
    state = weighted.aggregate(weighted.initial_state(start, Context(cohort.space, 3, 1)), cohort)
    assert torch.equal(weighted.params_for(state), torch.tensor([3.0, 1.0]))


def test_rewards_are_fitted_alike_one_by_one(federation, make_federation):
    for ours, theirs in zip(
        federation.client_models, make_federation(executor="serial").client_models, strict=True
    ):
        torch.testing.assert_close(ours.params, theirs.params, rtol=0, atol=2e-3)


def test_a_heterogeneous_federation_has_reward_models_of_several_kinds(llm, make_federation):
    models = [make_reward(name, llm, FEATURES, 8) for name in ("dual", "cross", "vlm")]
    mixed = make_federation(models)
    assert [type(source.model).__name__ for source in mixed.client_models][2] == "VLMReward"
    assert len({len(source.params) for source in mixed.client_models}) == K
    with pytest.raises(UsageError, match="3 architectures — use a method that fuses rewards"):
        mixed.averaged_model()


def test_an_average_is_trained_by_rounds_and_counted(federation):
    before = federation.costs
    average = federation.averaged_model()
    assert average.client is None
    assert federation.costs.uplink_bytes - before.uplink_bytes == 4 * K * 4 * average.model.space.size
    assert federation.costs.client_examples - before.client_examples == 4 * K * EACH, (
        "as the clients' own models"
    )
    better, worse = sides(federation)
    everything = torch.arange(K * EACH)
    right = (
        (average.score(better.responses(everything)) > average.score(worse.responses(everything)))
        .float()
        .mean()
    )
    assert right.float().mean() > federation.validation_accuracy().mean()


def test_the_router_learns_whose_answer_it_is(federation):
    options = {"width": 16, "layers": 1, "heads": 2, "rounds": 10, "steps": 4, "batch_size": 16, "lr": 1e-2}
    fuser = MoR(MoROptions(routing="top1", **options))
    before = federation.costs.uplink_bytes
    state = fuser.fit(federation)
    assert federation.costs.uplink_bytes - before == 10 * K * 4 * len(state["router"])
    for k in range(K):
        responses = sides(federation)[0].responses(torch.arange(EACH * k, EACH * (k + 1)))
        assert (fuser.scores(state, responses).argmax(1) == k).float().mean() > 0.8
    again = MoR(MoROptions(routing="top1", **options)).fit(federation)
    assert torch.equal(again["router"], state["router"]), "the same seed, the same router"
