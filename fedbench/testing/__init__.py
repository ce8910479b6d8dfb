"""For plugin authors: toy tasks that run in milliseconds, and contract classes to subclass in tests."""

from fedbench.testing.contracts import AggregatorContract
from fedbench.testing.rewards import RewardFuserContract, ToyRewardFederation, toy_answers
from fedbench.testing.toy import ToyTask, toy_rounds

__all__ = [
    "AggregatorContract",
    "RewardFuserContract",
    "ToyRewardFederation",
    "ToyTask",
    "toy_answers",
    "toy_rounds",
]
