"""The record: what one run of one method on one scenario with one seed was and gave."""

from __future__ import annotations

import operator
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError

from fedbench.api.aggregator import Needs
from fedbench.api.metrics import Costs, Measure
from fedbench.api.options import first_problem, message
from fedbench.api.phase import MOST_PASSES
from fedbench.api.specs import Track
from fedbench.results.columns import by_column, by_round
from fedbench.results.identity import Identity
from fedbench.results.item_scores import ItemScores
from fedbench.results.parsing import content_id
from fedbench.results.round_table import RoundLine, RoundTable
from fedbench.results.section import RecordSection
from fedbench.results.views import view

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA_VERSION = 2
Status = Literal["completed", "cancelled", "failed"]
TIME_FIELDS = frozenset(
    {
        "client_seconds",
        "server_seconds",
        "evaluation_seconds",
        "wall_seconds",
        "started",
        "finished",
        "peak_memory_bytes",
        "record_id",
        "migrated_from",
        "command",
        "resumed",
    }
)
"""Fields that may differ between two runs of the same command."""

FIRST_NUMERICS = 1
"""The numerics number of records that do not name one: all that were written before it was recorded."""


class Provider(RecordSection):
    """The plugin that provided a method or a scenario."""

    distribution: str = Field(description="installed package")
    version: str = Field(description="version of the package")
    plugin: str = Field(description="entry point within the package")


class ScenarioInfo(RecordSection):
    """The scenario that was run."""

    name: str = Field(description="the scenario's name")
    version: int = Field(description="the scenario's version")
    track: Track = Field(description="what travels between clients and server: parameters or rewards")
    fingerprint: str = Field(description="sha256 of all its settings, changes included")
    changes: dict[str, Any] = Field(
        description="values changed by --set; empty for the scenario as published"
    )
    provider: Provider = Field(description="where the scenario comes from")


class MetricInfo(RecordSection):
    """A metric of the scenario's evaluation."""

    form: str = Field(description="form of the items that it scores")
    provider: Provider = Field(description="where the metric comes from")
    form_provider: Provider = Field(description="where the form comes from: how items are asked")


class MethodInfo(RecordSection):
    """The method that was run."""

    name: str = Field(description="the method's name")
    options: dict[str, Any] = Field(description="every option, defaults included")
    provider: Provider = Field(description="where the method comes from")


class DataInfo(RecordSection):
    """What was federated: content hashes and sizes."""

    name: str = Field(description="the data set's name")
    fingerprint: str = Field(description="hash of the data set, as it gives it")
    backbone: str = Field(description="the backbone's name")
    backbone_fingerprint: str = Field(description="hash of the backbone's weights")
    partition: str = Field(description="the partitioner's name")
    partition_fingerprint: str = Field(description="hash of which client has which examples")
    client_examples: list[int] = Field(description="training examples per client of the scenario")
    parameters: int = Field(description="trainable parameters, P")

    without_image: list[int] | None = Field(
        None,
        exclude_if=lambda counts: counts is None,
        description="each client's training examples that lack their image; absent: nothing may be missing",
    )
    without_text: list[int] | None = Field(
        None,
        exclude_if=lambda counts: counts is None,
        description="each client's training examples that lack their text; absent: nothing may be missing",
    )


class RoundEntry(RoundLine):
    """A round as a run has it: what happened, what it cost and what was measured after it."""

    costs: Costs = Field(Costs(), description="what the round cost")
    metrics: dict[str, Measure] = Field({}, description="measures over all items, by name")
    clients: dict[str, Measure] = Field({}, description="primary measure on each client's own held-out items")


def _rounds(value: Any) -> Any:
    """The rounds of a file's table; rounds as a run has them stay as they are."""
    if isinstance(value, list | tuple):
        return value
    try:
        RoundTable.model_validate(value)
    except ValidationError as error:
        problem = first_problem(error)
        raise ValueError(f"{'.'.join(map(str, problem['loc']))} {message(problem)}".strip()) from error
    return by_round(value)


def _table(rounds: Sequence[RoundEntry]) -> dict[str, Any]:
    return by_column([entry.model_dump(mode="json") for entry in rounds])


Rounds = Annotated[
    list[RoundEntry],
    BeforeValidator(_rounds, json_schema_input_type=RoundTable),
    PlainSerializer(_table, return_type=dict[str, Any], when_used="json"),
]
"""A run's rounds: in memory one :class:`RoundEntry` each, in a file one :class:`RoundTable`."""


class Spread(RecordSection):
    """The primary measure over clients at the end."""

    mean: float = Field(description="mean over clients")
    worst: float = Field(description="the worst client's")
    p10: float = Field(description="10th percentile, counted from the bad end")

    @classmethod
    def of(cls, clients: Mapping[str, Measure]) -> Spread | None:
        """The spread of the clients' measures; None if there are none."""
        return cls.each([clients])[0]

    @classmethod
    def each(cls, rounds: Sequence[Mapping[str, Measure]]) -> list[Spread | None]:
        """The spread of every round's clients. Rounds that are alike are computed together: numpy takes
        longer to begin than to compute so few numbers."""
        alike: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for position, clients in enumerate(rounds):
            lower = any(measure.better == "lower" for measure in clients.values())
            alike[len(clients), lower].append(position)
        spreads: list[Spread | None] = [None] * len(rounds)
        for (count, lower), positions in alike.items():
            if count:
                values = np.array([[m.value for m in rounds[position].values()] for position in positions])
                worst = values.max(1) if lower else values.min(1)
                figures = (values.mean(1), worst, np.percentile(values, 90 if lower else 10, axis=1))
                for position, mean, least, p10 in zip(
                    positions, *map(np.ndarray.tolist, figures), strict=True
                ):
                    spreads[position] = cls(mean=mean, worst=least, p10=p10)
        return spreads


Shares = Annotated[list[Annotated[float, Field(ge=0, le=MOST_PASSES)]], Field(max_length=20)]
"""Phases of local training by how much each took of a client's examples."""


class Contract(RecordSection):
    """What the method declared of its rounds, and the engine enforced and billed."""

    needs: Needs = Field(description="what the server was shown: only sums of updates, or each client's own")
    down: dict[str, int] = Field(
        description="numbers that each client that trained received in a round, by name"
    )
    up: dict[str, int] = Field(description="numbers that each client that trained sent in a round, by name")
    turns: list[int] = Field(
        [],
        exclude_if=operator.not_,
        description="numbers of the parameters that went up in each of the rounds that take turns; absent:"
        " all"
        " in every round",
    )
    down_by_rank: dict[str, int] = Field(
        {},
        exclude_if=operator.not_,
        description="numbers of the parameters that a client of each rank received; absent: all have one"
        " rank",
    )
    up_by_rank: dict[str, int] = Field(
        {},
        exclude_if=operator.not_,
        description="numbers of the parameters that a client of each rank sent; absent: all have one rank",
    )
    base: int = Field(
        0,
        exclude_if=operator.not_,
        description="numbers of the frozen weights that the method moved; absent: it moved none",
    )
    trained: int = Field(
        0,
        exclude_if=operator.not_,
        description="numbers that were trained in the place of the model's parameters; absent: these"
        " themselves",
    )
    personalised: bool = Field(description="whether every client was scored by a model of its own")
    shares: Shares = Field(description="what each phase of a client's round took of its examples")
    shares_at_end: Shares = Field(
        description="what each phase after the last round took of every client's shard"
    )


class Origin(RecordSection):
    """The record of an earlier schema version that this one was made from; nothing of it was lost."""

    schema_version: int = Field(description="the version it was written in")
    record_id: str = Field(description="its record_id: the hash of its content as it was written")


class Record(RecordSection):
    """One run. ``record_id`` is the hash of everything else; ``run_id`` of what was asked for."""

    schema_version: Literal[2] = Field(2, description="version of this schema")
    record_id: str = Field("", description="sha256 of everything else in the record")
    migrated_from: Origin | None = Field(
        None, description="the record as it was first written; null if it was written in this version"
    )
    run_id: str = Field(description="sha256 of the request: scenario, method, options and seed")
    status: Status = Field(description="how the run ended")
    error: str = Field("", description="what ended a failed run")
    stopped: str = Field("", description="the budget that ended the run before its last round")
    scenario: ScenarioInfo = Field(description="the scenario that was run")
    method: MethodInfo = Field(description="the method that was run")
    seed: int = Field(description="the seed of all random streams")
    primary: str = Field(description="name of the measure that methods are ranked by")
    data: DataInfo = Field(description="what was federated")
    identity: Identity | None = Field(
        None, description="code, content and machine that the numbers come from; null: not recorded"
    )
    contract: Contract | None = Field(
        None,
        # a record from before has no such key, and its record_id is the hash of the keys it has
        exclude_if=lambda contract: contract is None,
        description="what the method let travel; absent: rewards travel, or it was not recorded",
    )
    measured_by: dict[str, MetricInfo] = Field(
        {},
        exclude_if=operator.not_,  # as the contract: records from before have no such key
        description="the metrics that every measure comes from, by name; absent: it was not recorded",
    )
    rounds: Rounds = Field(description="what happened in each round, what it cost and what was measured")
    final: dict[str, Measure] = Field({}, description="measures of the last models, by name")
    controls: dict[str, dict[str, Measure]] = Field(
        {}, description="by control, such as shuffled images: measures of the last models"
    )
    control_clients: dict[str, dict[str, Measure]] = Field(
        {},
        exclude_if=lambda measures: not measures,  # as the contract: records from before have no such key
        description="by control and client: the primary measure of the last models on the client's own"
        " held-out items; absent: no controls, or it was not recorded",
    )
    validation: dict[str, Measure] | None = Field(
        None,
        description="the primary suite's measures on the validation split at the end; null: not recorded",
    )
    items: ItemScores | None = Field(
        None, description="what each item of the primary suite scored at the end; null: not recorded"
    )
    spread: Spread | None = Field(None, description="the primary measure over clients; null without any")
    costs: Costs = Field(description="what all rounds cost together")
    peak_memory_bytes: int = Field(description="the process's high-water mark (CPU) or the device's (CUDA)")
    wall_seconds: float = Field(
        description="over all attempts, without what a killed one did after its last checkpoint"
    )
    started: str = Field(description="when the first attempt began, ISO 8601")
    finished: str = Field(description="when the last attempt ended, ISO 8601")
    resumed: bool = Field(False, description="taken up from a checkpoint")
    environment: dict[str, Any] = Field(description="machine and packages of the last attempt")
    command: list[str] = Field(description="the command of the last attempt")

    @property
    def left_out(self) -> dict[str, int]:
        """How often a client's work was missing from its round, by reason, the commonest first. A late
        update that the scenario takes in the next round counts here, and among the late arrivals there."""
        reasons = Counter(why for entry in self.rounds for why in entry.left_out.values())
        return dict(reasons.most_common())

    @property
    def not_recorded(self) -> tuple[str, ...]:
        """Fields that the run did not fill, because it is older than they are or has no such thing."""
        return tuple(name for name in ("identity", "validation", "items") if getattr(self, name) is None)

    @property
    def numerics(self) -> int:
        """The numerics number: records are comparable where it is the same."""
        number = self.identity.numerics if self.identity else None
        return FIRST_NUMERICS if number is None else number

    def sealed(self) -> Record:
        """The record with its ``record_id`` set."""
        return self.model_copy(update={"record_id": content_id(self.model_dump(mode="json"))})

    def to_frame(self) -> DataFrame:
        """A pandas row for each measure and cost of a round, of a client or at the end."""
        return view("record frame", [self])

    def _repr_html_(self) -> str:
        """What a notebook shows: headline numbers, costs and the learning curve."""
        return str(view("record html", self))

    def without_times(self) -> dict[str, Any]:
        """The record as JSON, without what may differ between two runs of the same command."""
        return _strip(self.model_dump(mode="json"))  # type: ignore[no-any-return]


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strip(inner) for key, inner in value.items() if key not in TIME_FIELDS}
    return [_strip(inner) for inner in value] if isinstance(value, list) else value
