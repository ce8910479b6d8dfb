"""fedbench: a benchmark suite for federated multimodal learning.

The names below are what a plugin may import. Everything heavy (torch, transformers) is
imported only where it is used, so that ``import fedbench`` stays cheap.
"""

from fedbench.errors import FedbenchError, PluginError, UsageError
from fedbench.hookspecs import hookimpl
from fedbench.methods import (
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
from fedbench.specs import (
    BackboneSpec,
    DatasetSpec,
    MethodSpec,
    MetricSpec,
    Options,
    PartitionerSpec,
    Reduction,
    ScenarioSpec,
)

__version__ = "0.1.0"

__all__ = [
    "Aggregator",
    "BackboneSpec",
    "Clients",
    "Cohort",
    "Context",
    "DatasetSpec",
    "FedbenchError",
    "LocalRound",
    "LocalRule",
    "MethodSpec",
    "MetricSpec",
    "Options",
    "PartitionerSpec",
    "PluginError",
    "Reduction",
    "ScenarioSpec",
    "Shards",
    "Signals",
    "State",
    "UsageError",
    "__version__",
    "hookimpl",
]
