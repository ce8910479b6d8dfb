"""Bounds on what may become worse: ``accuracy:-1%`` fails a comparison in which accuracy falls by more."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedbench.errors import UsageError
from fedbench.results.comparison import Compared, Difference, difference
from fedbench.results.run_summary import RunSummary


@dataclass(frozen=True)
class Guard:
    """A bound on a metric's mean change from the reference: on its fall if negative, on its rise if
    positive."""

    metric: str
    """A metric's whole name, or the last part of it."""
    limit: float
    """The largest allowed change, with its sign."""
    relative: bool
    """Whether ``limit`` is a share of the reference's mean."""

    @classmethod
    def parse(cls, text: str) -> Guard:
        """Parse ``METRIC:CHANGE``, the change with its sign: ``accuracy:-1%``, ``test/all/nll:+0.05``."""
        match = re.fullmatch(r"(?P<metric>[^:]+):(?P<limit>[+-]\d+(?:\.\d*)?(?:e-?\d+)?)(?P<share>%?)", text)
        if not match:
            why = "it is not METRIC:CHANGE, the change with its sign"
            raise UsageError(f"--fail-on {text!r}", why=why, fix="accuracy:-1% or nll:+0.05")
        share = bool(match["share"])
        return cls(match["metric"], float(match["limit"]) / (100 if share else 1), share)

    def broken(self, rows: Sequence[Compared], reference: Sequence[RunSummary]) -> Iterator[str]:
        """List a line for each row whose metric changes by more, on the scenarios of the reference.

        Raises :class:`UsageError` if there is no row to compare, or one shares no seed with the reference.
        """
        there: dict[str, list[RunSummary]] = defaultdict(list)
        for run in reference:
            there[run.setting.key].append(run)
        own = {run.id for run in reference}
        held = [
            row
            for row in rows
            if row.summary.setting in there and (row.difference or own.isdisjoint(run.id for run in row.runs))
        ]
        if not held:
            raise UsageError(
                "--fail-on", why="there is nothing to compare with", fix="name two, or --against"
            )
        for row in held:
            measured = difference(row.runs, there[row.summary.setting], self._name(row))
            if measured is None:
                what = f"{row.summary.name} on {row.summary.title}"
                raise UsageError(
                    f"--fail-on {self.metric!r}: {what} is held against nothing",
                    why="it has no seed in common with the reference",
                    fix="run one, or leave it out",
                )
            change = self._change(measured)
            if self._beyond(change):
                by = (
                    f"{change:+.2%}"
                    if self.relative and math.isfinite(change)
                    else f"{measured.interval.mean:+.4f}"
                )
                limit = f"{100 * self.limit:+g} %" if self.relative else f"{self.limit:+g}"
                yield (
                    f"{row.summary.name} on {row.summary.title}: {measured.metric} {by} against"
                    f" {measured.against}, beyond {limit} ({measured.verdict})"
                )

    def _change(self, measured: Difference) -> float:
        """Take the mean change; relative to a reference of zero, any change is infinite."""
        mean = measured.interval.mean
        if not self.relative or not mean:
            return mean
        return math.copysign(math.inf, mean) if measured.relative is None else measured.relative

    def _beyond(self, change: float) -> bool:
        """Check the bound: ``-0%`` is one below, ``+0%`` one above."""
        return change < self.limit if math.copysign(1, self.limit) < 0 else change > self.limit

    def _name(self, row: Compared) -> str:
        """Complete the metric's name: in the suite that is compared if it has it, else where it occurs
        once."""
        known, suite = row.runs[0].measures, row.summary.metric.rpartition("/")[0]
        fitting = [name for name in known if name == self.metric or name.endswith(f"/{self.metric}")]
        if f"{suite}/{self.metric}" in fitting:
            return f"{suite}/{self.metric}"
        if len(fitting) == 1:
            return fitting[0]
        why = "it fits " + (", ".join(fitting) or "no metric of the records")
        raise UsageError(f"--fail-on {self.metric!r}", why=why, fix="give a metric's whole name")
