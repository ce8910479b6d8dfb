"""Reward models fitted to real preferences: they learn them, calibrate, and say nothing of padding."""

import numpy as np
import pytest
import torch
from conftest import mostly_slow

from fedbench.api.scenario import Training
from fedbench.catalog import Catalog
from fedbench.data import Preference, PreferenceData, Suite
from fedbench.federation.executors import Executor, no_rule
from fedbench.federation.local import LocalWork
from fedbench.models.language import LanguageModel
from fedbench.models.rewards import ARCHITECTURES, make_reward
from fedbench.plugins import Plugins
from fedbench.preference.responses import TokenizedResponses
from fedbench.preference.reward_models import RewardTask, calibrated
from fedbench.rng import torch_stream

TRAINING = Training(batch_size=16, lr=3e-3, schedule="constant")
WORDS = ("food", "animals", "objects", "symbols")


@pytest.fixture(scope="module")
def llm():
    return LanguageModel(Catalog(Plugins()).backbones["nano"].create(None).freeze(torch.device("cpu")))


@pytest.fixture(scope="module")
def sides(llm):
    """Images of four kinds; the preferred answer names the kind, the other one another."""
    stream, count = torch_stream(0, "kinds"), 400
    kinds = torch.randint(0, 4, (count,), generator=stream)
    features = torch.randn(count, 4, 112, generator=stream)
    features[..., :4] += 3 * torch.nn.functional.one_hot(kinds, 4)[:, None]
    wrong = (kinds + torch.randint(1, 4, (count,), generator=stream)) % 4
    prompts, images = ["which category?"] * count, range(count)
    said = [[WORDS[kind] for kind in side.tolist()] for side in (kinds, wrong)]
    return [
        TokenizedResponses.from_text(llm, features, images=images, prompts=prompts, answers=words)
        for words in said
    ]


@pytest.mark.parametrize("name", mostly_slow(ARCHITECTURES, "dual", "cross"))
def test_a_reward_model_learns_preferences_and_is_calibrated(name, llm, sides):
    task = RewardTask(make_reward(name, llm, 112, 32), *sides, torch.ones(400))
    train, test = np.arange(300), torch.arange(300, 400)
    work = [LocalWork(k, np.random.default_rng(k).permutation(np.tile(train, 6)), 0, 1) for k in range(2)]
    start = torch.stack([task.model.init(torch_stream(k, "reward")) for k in range(2)])
    trained = Executor("batched", 2).train(task, start, work, no_rule, TRAINING)
    with torch.no_grad():
        right = (task.margins(trained.params, test.repeat(2, 1)) > 0).float().mean(1)
    assert (right > 0.8).all(), right
    source = calibrated(0, task, trained.params[0], torch.arange(300))
    seen = torch.cat([source.score(side.responses(torch.arange(300))) for side in sides])
    assert abs(float(seen.mean())) < 1e-4 and float(seen.std()) == pytest.approx(1, abs=1e-3)
    assert (
        source.client == 0
        and source.score(sides[0].responses(test)).mean() > source.score(sides[1].responses(test)).mean()
    )


def test_absent_rows_cost_nothing(llm, sides):
    task = RewardTask(make_reward("dual", llm, 112, 8), *sides, torch.ones(400))
    params = task.model.init(torch_stream(0, "reward"))[None]
    few, padded = torch.tensor([[3, 5]]), torch.tensor([[3, 5, -1, -1]])
    torch.testing.assert_close(task.loss(params, padded), task.loss(params, few))
    assert task.loss(params, torch.tensor([[-1]])) == 0


def test_preference_data_is_fingerprinted_whole():
    pairs = (Preference(0, "what?", "a", "b"),)
    base = {"name": "p", "image_fingerprint": "i", "images": [None] * 3, "units": np.arange(3)}
    suites: dict[str, Suite] = {}
    first = PreferenceData(**base, pairs=pairs, suites=suites)
    turned = PreferenceData(**base, pairs=(Preference(0, "what?", "b", "a"),), suites=suites)
    more = PreferenceData(**base, pairs=pairs, suites=suites, comparisons=pairs)
    assert len({first.fingerprint, turned.fingerprint, more.fingerprint}) == 3
    assert first.pair_units.tolist() == [0]
