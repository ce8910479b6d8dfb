"""The panel that fusers are given: judges who know their own field, a router trained by the round loop."""

import numpy as np
import pytest
import torch
from fedbench_mor.mor import MoR
from fedbench_mor.options import MoROptions
from PIL import Image

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.federation.draws import NO_FAULTS
from fedbench.federation.executors import Executor
from fedbench.federation.faults import FaultModel
from fedbench.methods import Cohort, Context
from fedbench.models.language import LanguageModel
from fedbench.models.rewards import make_reward
from fedbench.params import ParamSpace
from fedbench.plugins import Plugins
from fedbench.rng import torch_stream
from fedbench.scenario import Budget, Faults, Rewards, Training
from fedbench.testing.contracts import make
from fedbench.tracks.judging import Answered, RewardTask
from fedbench.tracks.panel import ClientPanel, SizeWeighted, fit_judges

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
    return [Answered.of(llm, features, range(count), prompts, words) for words in said]


@pytest.fixture(scope="module")
def llm():
    return LanguageModel(Catalog(Plugins()).backbones["nano"].create(None).freeze(torch.device("cpu")))


@pytest.fixture(scope="module")
def make_panel(llm):
    sides, shards = answered(llm, 0), [np.arange(EACH * k, EACH * (k + 1)) for k in range(K)]
    shared = make_reward("dual", llm, FEATURES, 16)

    def build(models=None, executor="batched", trouble=None):
        train = Executor(executor, K if executor == "batched" else 1)
        made = {id(model): RewardTask(model, *sides, torch.ones(K * EACH)) for model in models or [shared]}
        tasks = [made[id(model)] for model in models or [shared] * K]
        judges = fit_judges(tasks, shards, TRAINING, 4, train, seed=0)
        return ClientPanel(
            judges, tasks, shards, *sides, tuple(answered(llm, 1)), judges[0], make("fedavg"), train,
            TRAINING, Rewards(epochs=4, rounds=4), seed=0, images=[Image.new("RGB", (2, 2))] * (K * EACH),
            trouble=trouble or FaultModel(NO_FAULTS, 0, K), budget=Budget(),
        )  # fmt: skip

    return build


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel()


def test_judges_know_their_own_field_best(panel):
    better, worse = panel.comparisons
    own = []
    for k, judge in enumerate(panel.judges):
        rows = torch.arange(EACH * k, EACH * (k + 1))
        own.append((judge.score(better.judged(rows)) > judge.score(worse.judged(rows))).float().mean())
    assert min(own) > 0.8
    assert panel.agreement().mean() < torch.stack(own).mean(), "on everything they know less"


def test_asking_everybody_is_paid_for(panel):
    before = panel.costs
    panel.agreement()
    answers = 2 * K * EACH
    assert panel.costs.uplink_bytes - before.uplink_bytes == 4 * K * answers
    words = sum(len(text.encode()) for side in panel.comparisons for pair in side.words for text in pair)
    assert panel.costs.downlink_bytes - before.downlink_bytes == K * (12 * answers + words)


def test_faults_befall_whoever_is_asked(make_panel):
    liars = FaultModel(Faults(byzantine=0.4), 0, K)
    told, honest = make_panel(trouble=liars).agreement(), make_panel().agreement()
    assert {k for k in range(K) if told[k] != honest[k]} == set(liars.byzantine)
    assert (make_panel(trouble=FaultModel(Faults(dropout=1.0), 0, K)).agreement() == 0).all()


def test_a_router_is_averaged_by_the_clients_data():
    start = torch.zeros(2)
    updates = {
        "params": torch.tensor([[4.0, 0.0], [0.0, 4.0]]),
        "start": torch.zeros(2, 2),
        "num_examples": torch.tensor([10, 10]),
    }
    cohort = Cohort(
        1, (0, 2), updates["params"], updates["start"], updates["num_examples"], torch.ones(2), {},
        ParamSpace({"w": (2,)}), lambda *names: torch_stream(0, *names),
    )  # fmt: skip
    weighted = SizeWeighted(make("fedavg"), [300, 7, 100])
    state = weighted.aggregate(weighted.init(start, Context(cohort.space, 3, 1)), cohort)
    assert torch.equal(weighted.params_for(state), torch.tensor([3.0, 1.0]))


def test_rewards_are_fitted_alike_one_by_one(panel, make_panel):
    for ours, theirs in zip(panel.judges, make_panel(executor="serial").judges, strict=True):
        torch.testing.assert_close(ours.params, theirs.params, rtol=0, atol=2e-3)


def test_a_heterogeneous_panel_has_judges_of_several_kinds(llm, make_panel):
    models = [make_reward(name, llm, FEATURES, 8) for name in ("dual", "cross", "vlm")]
    mixed = make_panel(models)
    assert [type(judge.model).__name__ for judge in mixed.judges][2] == "VLMReward"
    assert len({len(judge.params) for judge in mixed.judges}) == K
    with pytest.raises(UsageError, match="3 architectures — use a method that fuses rewards"):
        mixed.averaged()


def test_an_average_is_trained_by_rounds_and_counted(panel):
    before = panel.costs
    average = panel.averaged()
    assert average.client is None
    assert panel.costs.uplink_bytes - before.uplink_bytes == 4 * K * 4 * average.model.space.size
    assert panel.costs.client_examples - before.client_examples == 4 * K * EACH, "as the clients' own models"
    better, worse = panel.comparisons
    everything = torch.arange(K * EACH)
    right = (
        (average.score(better.judged(everything)) > average.score(worse.judged(everything))).float().mean()
    )
    assert right.float().mean() > panel.agreement().mean()


def test_the_router_learns_whose_answer_it_is(panel):
    options = {"width": 16, "layers": 1, "heads": 2, "rounds": 10, "steps": 4, "batch_size": 16, "lr": 1e-2}
    fuser = MoR(MoROptions(routing="top1", **options))
    before = panel.costs.uplink_bytes
    state = fuser.fit(panel)
    assert panel.costs.uplink_bytes - before == 10 * K * 4 * len(state["router"])
    for k in range(K):
        judged = panel.comparisons[0].judged(torch.arange(EACH * k, EACH * (k + 1)))
        assert (fuser.scores(state, judged).argmax(1) == k).float().mean() > 0.8
    again = MoR(MoROptions(routing="top1", **options)).fit(panel)
    assert torch.equal(again["router"], state["router"]), "the same seed, the same router"
