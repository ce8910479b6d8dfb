"""Loading a scenario's data and partition, checked against what it pins; needs no backbone and no torch."""

from __future__ import annotations

from fedbench.api.scenario import Scenario
from fedbench.catalog import Catalog
from fedbench.data.items import FederatedData
from fedbench.data.partition import Partition, Partitioner, checked


def load_data(scenario: Scenario, catalog: Catalog) -> FederatedData:
    """Load the scenario's data; refuses data whose fingerprint is not the pinned one."""
    data: FederatedData = catalog.make(scenario, "data")
    scenario.check_pin("data", data.fingerprint)
    return data


def load_partition(scenario: Scenario, catalog: Catalog, data: FederatedData) -> Partition:
    """Deal ``data`` to the scenario's clients; refuses a partition that is not the pinned one."""
    deal: Partitioner = catalog.make(scenario, "partition")
    clients = scenario.federation.clients
    partition = checked(deal(data, clients, scenario.folder), data, clients, scenario.partition.name)
    scenario.check_pin("partition", partition.fingerprint)
    return partition
