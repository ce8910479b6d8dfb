"""fedbench: a benchmark suite for federated multimodal learning.

The names below are what a plugin may import. Everything heavy (torch, transformers) is
imported only where it is used, so that ``import fedbench`` stays cheap.
"""

from fedbench.api.aggregator import (
    Aggregator,
    Clients,
    Cohort,
    Context,
    LocalRound,
    LocalRule,
    Shards,
    Signals,
    State,
)
from fedbench.api.hookspecs import hookimpl
from fedbench.api.options import Options
from fedbench.api.reward_fuser import RewardFuser
from fedbench.api.specs import (
    BackboneSpec,
    DatasetSpec,
    LeaderboardSpec,
    MethodSpec,
    MetricSpec,
    PartitionerSpec,
    PublisherSpec,
    Reduction,
    ScenarioSpec,
)
from fedbench.errors import FedbenchError, PluginError, Unavailable, UsageError

__version__ = "0.1.0"

__all__ = [
    "Aggregator",
    "BackboneSpec",
    "Clients",
    "Cohort",
    "Context",
    "DatasetSpec",
    "FedbenchError",
    "LeaderboardSpec",
    "LocalRound",
    "LocalRule",
    "MethodSpec",
    "MetricSpec",
    "Options",
    "PartitionerSpec",
    "PluginError",
    "PublisherSpec",
    "Reduction",
    "RewardFuser",
    "ScenarioSpec",
    "Shards",
    "Signals",
    "State",
    "Unavailable",
    "UsageError",
    "__version__",
    "hookimpl",
]
