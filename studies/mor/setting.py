"""The clients of the finding about MoR, and how reward models and policies are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedbench.api.scenario import Scenario
from fedbench.catalog import Catalog
from fedbench.data.loading import load_data, load_partition
from fedbench.scenario_files import load_scenario
from mor.cells import cell
from reporting import table
from results import Results


@dataclass(frozen=True)
class Client:
    """One client: the task of its preferences, their number, the share that is swapped, its reward model."""

    task: str
    preferences: int
    swapped: float
    model: str


@dataclass(frozen=True)
class Setting:
    """A scenario and its clients."""

    scenario: Scenario
    clients: tuple[Client, ...]

    @property
    def steps(self) -> int:
        """Steps of the policy over all rounds."""
        assert self.scenario.policy
        return self.scenario.federation.rounds * self.scenario.policy.steps


def setting_of(catalog: Catalog, name: str) -> Setting:
    """The clients of the installed scenario ``name``."""
    scenario = load_scenario(catalog.scenarios[name].spec.path)
    resolved = catalog.resolve(scenario)
    data = load_data(resolved)
    partition, rewards = load_partition(resolved, data), scenario.rewards
    assert rewards
    label = data.label(scenario.partition.options["label"])
    clients = (
        Client(
            str(label[units[0]]),
            len(shard),
            rewards.noise[number % len(rewards.noise)],
            rewards.models[number % len(rewards.models)].architecture,
        )
        for number, (units, shard) in enumerate(zip(partition.train, partition.shards(data), strict=True))
    )
    return Setting(scenario, tuple(clients))


def setting_table(results: Results, settings: Mapping[str, Setting]) -> str:
    """The clients of each scenario, and the floor and ceiling of its methods."""
    rows = []
    for name, setting in settings.items():
        for number, client in enumerate(setting.clients):
            row = {
                "scenario": "" if number else name,
                "client": client.task,
                "preferences": str(client.preferences),
                "swapped": f"{client.swapped:.0%}",
                "reward model": client.model,
            }
            rows.append(row)
        rows[-len(setting.clients)] |= {m: cell(results, m, name) for m in ("start", "gold-reward")}
    return table(rows)


def training_table(settings: Mapping[str, Setting]) -> str:
    """How reward models and policies are trained."""
    rows = []
    for name, setting in settings.items():
        scenario = setting.scenario
        policy, rewards = scenario.policy, scenario.rewards
        assert policy and rewards
        rows.append(
            {
                "scenario": name,
                "passes": str(rewards.epochs),
                "rounds": str(scenario.federation.rounds),
                "steps a round": str(policy.steps),
                "queries a step": str(policy.queries),
                "group": str(policy.group),
                "learning rate": f"{policy.lr:g}",
                "KL weight": f"{policy.kl_weight:g}",
            }
        )
    return table(rows)
