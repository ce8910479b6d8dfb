"""The record: what one run of one method on one scenario with one seed was and gave."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fedbench.api.metrics import Costs, Measure
from fedbench.api.specs import Track
from fedbench.results.parsing import content_id
from fedbench.results.views import view

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA_VERSION = 1
Status = Literal["completed", "cancelled", "failed"]
TIME_FIELDS = frozenset(
    {"client_seconds", "server_seconds", "evaluation_seconds", "wall_seconds", "started", "finished",
     "peak_memory_bytes", "record_id", "command", "resumed"}
)  # fmt: skip
"""What may differ between two runs of the same command."""


class Section(BaseModel):
    """Keeps fields that it does not know when it is read; :func:`.store.write_record` refuses them."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={"additionalProperties": False},
    )


class Provider(Section):
    """The plugin something came from."""

    distribution: str
    version: str
    plugin: str


class ScenarioInfo(Section):
    name: str
    version: int
    track: Track
    fingerprint: str
    changes: dict[str, Any] = Field(
        description="values changed by --set; empty for the scenario as published"
    )
    provider: Provider


class MethodInfo(Section):
    name: str
    options: dict[str, Any] = Field(description="every option, defaults included")
    provider: Provider


class DataInfo(Section):
    """What was federated: content hashes and sizes."""

    name: str
    fingerprint: str
    backbone: str
    backbone_fingerprint: str
    partition: str
    partition_fingerprint: str
    client_examples: list[int] = Field(description="training examples per client of the scenario")
    parameters: int = Field(description="trainable parameters, P")


class RoundEntry(Section):
    """A line of the round log. Round 0 is the untouched start."""

    round: int
    cohort: list[int] = []
    left_out: dict[str, str] = Field({}, description="client: why its update was not used")
    came_late: list[int] = Field([], description="clients whose update of the round before was used")
    attackers: list[int] = Field([], description="Byzantine clients that took part, as the scenario asked")
    loss: float | None = Field(None, description="mean training loss over the round's examples, nats/token")
    digest: str = Field(description="sha256 of the evaluated parameters, fp32 little-endian")
    costs: Costs = Costs()
    metrics: dict[str, Measure] = {}
    clients: dict[str, Measure] = Field({}, description="primary measure on each client's own held-out items")
    diagnostics: dict[str, Any] = Field({}, description="what the method says of its aggregation")
    undefined: list[str] = Field([], description="measures that came out as NaN or infinite")


class Spread(Section):
    """The primary measure over clients at the end."""

    mean: float
    worst: float
    p10: float


class Record(Section):
    """One run. ``record_id`` is the hash of everything else; ``run_id`` of what was asked for."""

    schema_version: Literal[1] = 1
    record_id: str = ""
    run_id: str
    status: Status
    error: str = ""
    stopped: str = Field("", description="the budget that ended the run before its last round")
    scenario: ScenarioInfo
    method: MethodInfo
    seed: int
    primary: str
    data: DataInfo
    rounds: list[RoundEntry]
    final: dict[str, Measure] = {}
    controls: dict[str, dict[str, Measure]] = {}
    spread: Spread | None = None
    costs: Costs
    peak_memory_bytes: int = Field(description="the process's high-water mark (CPU) or the device's (CUDA)")
    wall_seconds: float = Field(
        description="over all attempts, without what a killed one did after its last checkpoint"
    )
    started: str = Field(description="when the first attempt began")
    finished: str
    resumed: bool = Field(False, description="taken up from a checkpoint")
    environment: dict[str, Any] = Field(description="of the last attempt")
    command: list[str]

    @property
    def left_out(self) -> dict[str, int]:
        """How often a client's work was missing from its round, by reason, the commonest first. A late
        update that the scenario takes in the next round counts here, and among the late arrivals there."""
        reasons = Counter(why for entry in self.rounds for why in entry.left_out.values())
        return dict(reasons.most_common())

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
        """Everything that two runs of the same command share."""
        return _strip(self.model_dump(mode="json"))  # type: ignore[no-any-return]


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strip(inner) for key, inner in value.items() if key not in TIME_FIELDS}
    return [_strip(inner) for inner in value] if isinstance(value, list) else value
