"""Loading a scenario's data and partition, checked against what it pins; needs no backbone and no torch."""

from __future__ import annotations

from fedbench.data.items import FederatedData
from fedbench.data.partition import Partition, Partitioner, checked
from fedbench.resolution import ResolvedScenario


def load_data(resolved: ResolvedScenario) -> FederatedData:
    """Load the scenario's data; refuses data whose fingerprint is not the pinned one."""
    data: FederatedData = resolved.data.make()
    resolved.data.check_pin(data.fingerprint)
    return data


def load_partition(resolved: ResolvedScenario, data: FederatedData) -> Partition:
    """Deal ``data`` to the scenario's clients; refuses a partition that is not the pinned one."""
    deal: Partitioner = resolved.partition.make()
    scenario = resolved.scenario
    clients = scenario.federation.clients
    partition = checked(deal(data, clients, scenario.folder), data, clients, scenario.partition.name)
    resolved.partition.check_pin(partition.fingerprint)
    return partition
