"""For plugin authors: classes of tests to subclass, and toy tasks that run in milliseconds."""

from fedbench.testing.contracts import AggregatorContract, example_cohort
from fedbench.testing.rewards import RewardFuserContract, ToyRewardFederation, toy_answers
from fedbench.testing.toy import ToyTask, toy_rounds, toy_setup
from fedbench.testing.toy_adapters import ToyAdapters

__all__ = [
    "AggregatorContract",
    "RewardFuserContract",
    "ToyAdapters",
    "ToyRewardFederation",
    "ToyTask",
    "example_cohort",
    "toy_answers",
    "toy_rounds",
    "toy_setup",
]
