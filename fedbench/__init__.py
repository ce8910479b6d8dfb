"""fedbench: a benchmark suite for federated multimodal learning.

A plugin imports all that it needs from here and, in its tests, from ``fedbench.testing``; every other module
may change. ``import fedbench`` is cheap: a name's module, which may import torch, is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_EXPORTS = {
    "fedbench.analysis": "compare load load_all validate",
    "fedbench.api.aggregator": "Aggregator Context Shards State",
    "fedbench.api.cohort": "Cohort CohortSum",
    "fedbench.api.events": "PolicyStep RoundEnd RunEnd RunError RunStart",
    "fedbench.api.hookspecs": "hookimpl",
    "fedbench.api.local_rule": "Clients LocalRound LocalRule Signals",
    "fedbench.api.metrics": "Costs Measure Metric",
    "fedbench.api.options": "Options validated",
    "fedbench.api.phase": "Phase",
    "fedbench.api.reward_fuser": (
        "PolicyStepFeedback ResponseBatch RewardFederation RewardFuser RewardSource RouterLoss"
    ),
    "fedbench.api.scenario": "load_scenario",
    "fedbench.api.specs": (
        "BackboneSpec DatasetSpec Form LeaderboardSpec MethodSpec MetricSpec PartitionerSpec PublisherSpec "
        "Reduction ScenarioSpec"
    ),
    "fedbench.api.traffic": "Traffic",
    "fedbench.data.features": "cache_folder",
    "fedbench.data.items": "AlignmentData FederatedData Item Pair Preference PreferenceData Suite",
    "fedbench.data.partition": "Partition Partitioner",
    "fedbench.errors": "FedbenchError PluginError Unavailable UsageError suggest",
    "fedbench.evaluation.estimates": "Estimate mean ratio",
    "fedbench.experiments": "run run_matrix",
    "fedbench.fingerprint": "sha256_bytes sha256_file sha256_json",
    "fedbench.leaderboard.publishing": "Changes Publication Publisher site_changes",
    "fedbench.matrix": "MatrixResult",
    "fedbench.models.backbone": "Backbone load_llm",
    "fedbench.models.chat_template": "ChatTemplate",
    "fedbench.models.policy": "Policy Questions",
    "fedbench.models.projector": "Projector",
    "fedbench.params": "ParamSpace",
    "fedbench.rng": "derive numpy_stream torch_stream",
}
"""Every public name, by the module that defines it. A new one is added here and below, for type checkers."""

_HOME = {name: module for module, names in _EXPORTS.items() for name in names.split()}

__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from fedbench.analysis import compare as compare
    from fedbench.analysis import load as load
    from fedbench.analysis import load_all as load_all
    from fedbench.analysis import validate as validate
    from fedbench.api.aggregator import Aggregator as Aggregator
    from fedbench.api.aggregator import Context as Context
    from fedbench.api.aggregator import Shards as Shards
    from fedbench.api.aggregator import State as State
    from fedbench.api.cohort import Cohort as Cohort
    from fedbench.api.cohort import CohortSum as CohortSum
    from fedbench.api.events import PolicyStep as PolicyStep
    from fedbench.api.events import RoundEnd as RoundEnd
    from fedbench.api.events import RunEnd as RunEnd
    from fedbench.api.events import RunError as RunError
    from fedbench.api.events import RunStart as RunStart
    from fedbench.api.hookspecs import hookimpl as hookimpl
    from fedbench.api.local_rule import Clients as Clients
    from fedbench.api.local_rule import LocalRound as LocalRound
    from fedbench.api.local_rule import LocalRule as LocalRule
    from fedbench.api.local_rule import Signals as Signals
    from fedbench.api.metrics import Costs as Costs
    from fedbench.api.metrics import Measure as Measure
    from fedbench.api.metrics import Metric as Metric
    from fedbench.api.options import Options as Options
    from fedbench.api.options import validated as validated
    from fedbench.api.phase import Phase as Phase
    from fedbench.api.reward_fuser import PolicyStepFeedback as PolicyStepFeedback
    from fedbench.api.reward_fuser import ResponseBatch as ResponseBatch
    from fedbench.api.reward_fuser import RewardFederation as RewardFederation
    from fedbench.api.reward_fuser import RewardFuser as RewardFuser
    from fedbench.api.reward_fuser import RewardSource as RewardSource
    from fedbench.api.reward_fuser import RouterLoss as RouterLoss
    from fedbench.api.scenario import load_scenario as load_scenario
    from fedbench.api.specs import BackboneSpec as BackboneSpec
    from fedbench.api.specs import DatasetSpec as DatasetSpec
    from fedbench.api.specs import Form as Form
    from fedbench.api.specs import LeaderboardSpec as LeaderboardSpec
    from fedbench.api.specs import MethodSpec as MethodSpec
    from fedbench.api.specs import MetricSpec as MetricSpec
    from fedbench.api.specs import PartitionerSpec as PartitionerSpec
    from fedbench.api.specs import PublisherSpec as PublisherSpec
    from fedbench.api.specs import Reduction as Reduction
    from fedbench.api.specs import ScenarioSpec as ScenarioSpec
    from fedbench.api.traffic import Traffic as Traffic
    from fedbench.data.features import cache_folder as cache_folder
    from fedbench.data.items import AlignmentData as AlignmentData
    from fedbench.data.items import FederatedData as FederatedData
    from fedbench.data.items import Item as Item
    from fedbench.data.items import Pair as Pair
    from fedbench.data.items import Preference as Preference
    from fedbench.data.items import PreferenceData as PreferenceData
    from fedbench.data.items import Suite as Suite
    from fedbench.data.partition import Partition as Partition
    from fedbench.data.partition import Partitioner as Partitioner
    from fedbench.errors import FedbenchError as FedbenchError
    from fedbench.errors import PluginError as PluginError
    from fedbench.errors import Unavailable as Unavailable
    from fedbench.errors import UsageError as UsageError
    from fedbench.errors import suggest as suggest
    from fedbench.evaluation.estimates import Estimate as Estimate
    from fedbench.evaluation.estimates import mean as mean
    from fedbench.evaluation.estimates import ratio as ratio
    from fedbench.experiments import run as run
    from fedbench.experiments import run_matrix as run_matrix
    from fedbench.fingerprint import sha256_bytes as sha256_bytes
    from fedbench.fingerprint import sha256_file as sha256_file
    from fedbench.fingerprint import sha256_json as sha256_json
    from fedbench.leaderboard.publishing import Changes as Changes
    from fedbench.leaderboard.publishing import Publication as Publication
    from fedbench.leaderboard.publishing import Publisher as Publisher
    from fedbench.leaderboard.publishing import site_changes as site_changes
    from fedbench.matrix import MatrixResult as MatrixResult
    from fedbench.models.backbone import Backbone as Backbone
    from fedbench.models.backbone import load_llm as load_llm
    from fedbench.models.chat_template import ChatTemplate as ChatTemplate
    from fedbench.models.policy import Policy as Policy
    from fedbench.models.policy import Questions as Questions
    from fedbench.models.projector import Projector as Projector
    from fedbench.params import ParamSpace as ParamSpace
    from fedbench.rng import derive as derive
    from fedbench.rng import numpy_stream as numpy_stream
    from fedbench.rng import torch_stream as torch_stream
else:

    def __getattr__(name: str) -> Any:
        """Import a public name from its module when it is first used (PEP 562)."""
        if name not in _HOME:
            raise AttributeError(f"module 'fedbench' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOME[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
