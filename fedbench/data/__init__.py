"""Federated data: pairs or preferences, evaluation suites, images, and their partition among clients."""

from fedbench.data.items import (
    AlignmentData,
    FederatedData,
    Item,
    Pair,
    Preference,
    PreferenceData,
    Suite,
)
from fedbench.data.partition import Partition, Partitioner

__all__ = [
    "AlignmentData",
    "FederatedData",
    "Item",
    "Pair",
    "Partition",
    "Partitioner",
    "Preference",
    "PreferenceData",
    "Suite",
]
