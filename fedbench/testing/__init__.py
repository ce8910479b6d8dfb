"""For plugin authors: a toy task that runs in milliseconds, and contract classes to subclass in tests."""

from fedbench.testing.contracts import AggregatorContract
from fedbench.testing.toy import ToyTask, toy_rounds

__all__ = ["AggregatorContract", "ToyTask", "toy_rounds"]
