"""A measured number: never without its standard error, its sample size and its direction."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

AS_READ = {"extra": "allow", "json_schema_extra": {"additionalProperties": False}}
"""As in ``results.record``: a field that a newer version wrote is no reason not to read the rest."""


@dataclass(frozen=True)
class Measure:
    """``se`` is None where one run can't tell it (a single group, a count)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = AS_READ

    value: float
    se: float | None
    n: int
    unit: str
    better: Literal["higher", "lower", "neither"] = "higher"

    def __str__(self) -> str:
        return f"{self.value:.4f}" + (f" ± {self.se:.4f}" if self.se is not None else "")


@dataclass(frozen=True)
class Costs:
    """What a stretch of a run cost, counted by the engine; costs add."""

    __pydantic_config__: ClassVar[dict[str, Any]] = AS_READ

    uplink_bytes: int = 0
    downlink_bytes: int = 0
    client_examples: int = 0
    client_seconds: float = 0.0
    server_seconds: float = 0.0
    evaluation_seconds: float = 0.0

    def __add__(self, other: Costs) -> Costs:
        return Costs(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))
