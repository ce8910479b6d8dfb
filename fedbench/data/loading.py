"""Loading a scenario's data and partition, checked against what it pins; needs no backbone and no torch."""

from __future__ import annotations

from fedbench.data.checks import check_data
from fedbench.data.items import FederatedData
from fedbench.data.partition import Partition, Partitioner, checked
from fedbench.errors import FedbenchError
from fedbench.resolution import ResolvedPart, ResolvedScenario


def load_data(resolved: ResolvedScenario) -> FederatedData:
    """Load the scenario's data; refuses data whose fingerprint is not the pinned one, and unsound data."""
    data = make_data(resolved.data)
    with resolved.data.answerable("can't be read"):
        check_data(data, resolved.data.owner, resolved.forms)
        resolved.data.check_pin(data.fingerprint)
    return data


def make_data(part: ResolvedPart) -> FederatedData:
    """Have the data set made, unchecked."""
    data = part.make()
    if not isinstance(data, FederatedData):
        raise FedbenchError(
            f"{part.owner} made {type(data).__name__}, not an AlignmentData or PreferenceData"
        )
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
