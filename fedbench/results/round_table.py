"""The rounds of a record as its file has them: a line for each round, a column for each measure and cost."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fedbench.results.section import RecordSection


class RoundLine(RecordSection):
    """What happened in a round; round 0 is the untouched start. A file leaves empty fields out."""

    round: int = Field(description="the round's number")
    cohort: list[int] = Field([], description="clients that took part")
    left_out: dict[str, str] = Field({}, description="client: why its update was not used")
    came_late: list[int] = Field([], description="clients whose update of the round before was used")
    attackers: list[int] = Field([], description="Byzantine clients that took part, as the scenario asked")
    loss: float | None = Field(None, description="mean training loss over the round's examples, nats/token")
    digest: str = Field(description="sha256 of the evaluated parameters, fp32 little-endian")
    diagnostics: dict[str, Any] = Field({}, description="what the method says of its aggregation")
    undefined: list[str] = Field([], description="measures that came out as NaN or infinite")
    moved: int = Field(
        0,
        exclude_if=operator.not_,
        description="numbers that the method's move of the frozen base takes to send; absent: none",
    )


class TablePart(BaseModel):
    """A part of the table: its values are taken as they are, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class CostColumns(TablePart):
    """What each round cost, counted by the engine: one number a round."""

    uplink_bytes: list[int] = Field(description="bytes that clients sent")
    downlink_bytes: list[int] = Field(description="bytes that clients received")
    client_examples: list[int] = Field(description="examples that clients trained on")
    client_seconds: list[float] = Field(description="time of the clients' work")
    server_seconds: list[float] = Field(description="time of the server's work")
    evaluation_seconds: list[float] = Field(description="time of measuring")


class Column(TablePart):
    """A measure after every round; null for a round in which it was not measured."""

    n: int | list[int | None] = Field(description="items measured; a number a round where it changes")
    counts: list[int | None] | None = Field(
        None, description="in place of `values` for shares of which each is exactly counts / n"
    )
    values: list[float | None] | None = Field(None, description="values of the measure")
    ses: list[float | None] = Field(
        description="standard errors of the values; null also where a single run gives none"
    )

    @property
    def numbers(self) -> Sequence[float | None]:
        """The counts or the values, whichever the column has."""
        return (self.values if self.counts is None else self.counts) or ()

    @model_validator(mode="after")
    def _fits_together(self) -> Column:
        sizes = self.n if isinstance(self.n, list) else [self.n]
        if (self.counts is None) == (self.values is None):
            raise ValueError("a column has either counts or values")
        if len(self.ses) != len(self.numbers):
            raise ValueError(f"{len(self.numbers)} values with {len(self.ses)} standard errors")
        if self.counts is not None and any(n is not None and n < 1 for n in sizes):
            raise ValueError("counts of no items")
        if isinstance(self.n, list) and [n is None for n in sizes] != [v is None for v in self.numbers]:
            raise ValueError("n and values are of different rounds")
        return self


class MeasureColumn(Column):
    """A measure over all items."""

    unit: str = Field(description="unit of the values and of their standard errors")
    better: Literal["higher", "lower", "neither"] = Field(description="which values are better")


class ClientColumns(TablePart):
    """The primary measure on each client's own held-out items."""

    unit: str = Field(description="unit of the values and of their standard errors")
    better: Literal["higher", "lower", "neither"] = Field(description="which values are better")
    columns: dict[str, Column] = Field(description="a column for each client that has such items")


class RoundTable(TablePart):
    """All rounds of a run."""

    log: list[RoundLine] = Field(description="what happened: a line for each round")
    costs: CostColumns = Field(description="what each round cost")
    metrics: dict[str, MeasureColumn] = Field(description="measures over all items, by name")
    clients: ClientColumns | None = Field(
        description="the primary measure by client; null if no client has held-out items"
    )

    @model_validator(mode="after")
    def _columns_are_as_long_as_the_log(self) -> RoundTable:
        lengths = {name: len(costs) for name, costs in dict(self.costs).items()}
        lengths |= {name: len(column.numbers) for name, column in self.metrics.items()}
        if self.clients:
            columns = self.clients.columns.items()
            lengths |= {f"client {client}": len(column.numbers) for client, column in columns}
        for name, length in lengths.items():
            if length != len(self.log):
                raise ValueError(f"{name} has {length} values for {len(self.log)} rounds")
        return self
