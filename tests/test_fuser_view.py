"""A fuser can't score anything by itself, nor see the true reward unless it says so."""

import pytest
import torch

from fedbench.api.metrics import Costs
from fedbench.api.reward_fuser import RewardFuser, RewardSource
from fedbench.errors import FedbenchError, UsageError
from fedbench.preference.fuser_view import FuserView
from fedbench.preference.reward_models import GoldAnswerReward
from fedbench.testing.contracts import installed
from fedbench.testing.rewards import ToyRewardFederation


class Scoring:
    def __init__(self, client):
        self.client, self.name = client, f"client {client}"

    @property
    def uncalibrated(self):
        return self

    def score(self, responses):
        return torch.ones(len(responses.ids))


class Engine:
    """Stands in for the federation with its fitted models."""

    widths, gold, costs = (6, 8), GoldAnswerReward({}), Costs()
    client_models = uncalibrated_models = (Scoring(0), Scoring(1))


class Bound(RewardFuser):
    privileged = True


def test_what_a_fuser_gets_can_not_score():
    for federation in (FuserView(Engine(), Bound()), ToyRewardFederation()):
        handles = (*federation.client_models, *federation.uncalibrated_models, federation.gold)
        assert all(type(handle) is RewardSource and not hasattr(handle, "score") for handle in handles)


def test_only_a_privileged_fuser_gets_the_true_reward():
    assert FuserView(Engine(), Bound()).gold.name == "gold"
    with pytest.raises(UsageError, match=r"RewardFuser asks for the true reward.*privileged = True"):
        _ = FuserView(Engine(), RewardFuser()).gold
    privileged = {
        entry.name
        for entry in installed().methods.entries
        if entry.spec.track == "preference" and getattr(entry.create(entry.options()), "privileged", False)
    }
    assert privileged == {"gold-reward"}


def test_the_engine_knows_what_scores_for_a_name():
    view = FuserView(Engine(), RewardFuser())
    assert view.scorers(view.client_models) == list(Engine.client_models)
    assert view.scorers(view.uncalibrated_models[1:]) == list(Engine.uncalibrated_models[1:])
    with pytest.raises(FedbenchError, match=r"a reward source that there is not: .*'gold'"):
        view.scorers([RewardSource("gold")])
