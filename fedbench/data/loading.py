"""Loading a scenario's data and partition, checked against what it pins; needs no backbone and no torch."""

from __future__ import annotations

from fedbench.data.checks import check_data
from fedbench.data.items import FederatedData
from fedbench.data.partition import Partition, Partitioner, checked
from fedbench.errors import FedbenchError
from fedbench.resolution import ResolvedScenario


def load_data(resolved: ResolvedScenario) -> FederatedData:
    """Load the scenario's data; refuses data whose fingerprint is not the pinned one, and unsound data."""
    data = resolved.data.make()
    if not isinstance(data, FederatedData):
        raise FedbenchError(
            f"{resolved.data.owner} made {type(data).__name__}, not an AlignmentData or PreferenceData"
        )
    with resolved.data.answerable("can't be read"):
        resolved.data.check_pin(data.fingerprint)
        check_data(data, resolved.data.owner, resolved.forms)
    return data


def load_partition(resolved: ResolvedScenario, data: FederatedData) -> Partition:
    """Deal ``data`` to the scenario's clients; refuses a partition that is not the pinned one."""
    deal: Partitioner = resolved.partition.make()
    scenario = resolved.scenario
    clients = scenario.federation.clients
    with resolved.partition.answerable("can't deal the data"):
        partition = checked(deal(data, clients, scenario.folder), data, clients, scenario.partition.name)
    resolved.partition.check_pin(partition.fingerprint)
    return partition
