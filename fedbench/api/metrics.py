"""What is measured: numbers with their standard error, and what a run costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol

AS_READ = {"extra": "allow", "json_schema_extra": {"additionalProperties": False}}
"""As in ``results.records``: a field that a newer version wrote is no reason not to read the rest."""


@dataclass(frozen=True)
class Measure:
    """A measured number: never without its standard error, sample size, unit and direction.

    >>> from fedbench import Measure
    >>> print(Measure(value=0.5731, se=0.0283, n=296, unit="share"))
    0.5731 ± 0.0283
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = AS_READ

    value: float
    """The number."""
    se: float | None
    """Its standard error; None where one run can't say (a single group of items, a count)."""
    n: int
    """The number of items that it was measured on."""
    unit: str
    """``share``, ``nats/token``, ``words``, …"""
    better: Literal["higher", "lower", "neither"] = "higher"
    """Which direction is better."""

    def __str__(self) -> str:
        return f"{self.value:.4f}" + (f" ± {self.se:.4f}" if self.se is not None else "")


class Metric(Protocol):
    """What the factory of a ``MetricSpec`` returns; an ``evaluate.Metric`` is one.

    It receives what the model answered as columns, one entry for each item of a suite: ``group``, what makes
    items dependent, and those that the ``FormSpec`` of its form names (``fedbench show form NAME``).

    >>> from fedbench import mean
    >>> class AnswerLength:
    ...     def compute(self, *, prediction, group, **others):
    ...         words = mean([len(text.split()) for text in prediction])
    ...         return {"words": words.measure(group, unit="words", better="neither")}
    >>> measured = AnswerLength().compute(prediction=["a dog", "a red cat"], group=["dog", "cat"])
    >>> measured["words"]["value"], measured["words"]["n"]
    (2.5, 2)
    """

    def compute(self, **columns: Any) -> Mapping[str, Mapping[str, Any]]:
        """Each value of the ``MetricSpec`` by name, as ``Estimate.measure`` returns it."""
        ...


BYTES_PER_NUMBER = 4
"""A number travels as float32, whatever a machine computes in."""


@dataclass(frozen=True)
class Costs:
    """What a stretch of a run cost, counted by the engine; costs add.

    >>> from fedbench import Costs
    >>> total = Costs(uplink_bytes=4, client_seconds=0.5) + Costs(uplink_bytes=8)
    >>> total.uplink_bytes, total.client_seconds
    (12, 0.5)
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = AS_READ

    uplink_bytes: int = 0
    """Bytes from clients to the server."""
    downlink_bytes: int = 0
    """Bytes from the server to clients."""
    client_examples: int = 0
    """Training examples that clients went through."""
    client_seconds: float = 0.0
    """Wall time of local training."""
    server_seconds: float = 0.0
    """Wall time of aggregation, or of the policy's training."""
    evaluation_seconds: float = 0.0
    """Wall time of evaluation."""

    def __add__(self, other: Costs) -> Costs:
        return Costs(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))
