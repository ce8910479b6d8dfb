"""Settings: what runs must share, beside scenario and measure, for their numbers to be compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fedbench.fingerprint import sha256_json
from fedbench.results.identity import CONTENT
from fedbench.results.records import Record


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A scenario, the content it was run on, and the arithmetic."""

    scenario: str
    """The scenario's fingerprint."""
    named: tuple[str, ...]
    """The fingerprints that data, partition and backbone give themselves."""
    content: tuple[str, ...] | None
    """The engine's own hashes of data, partition and backbone; None for a record that has none."""
    numerics: int
    """The numerics number."""

    @property
    def key(self) -> str:
        """A hash that equal settings share."""
        what = [self.scenario, self.content or self.named, self.numerics]
        return sha256_json(what)

    def agrees(self, other: Setting) -> bool:
        """Whether the two are one setting, as far as both are recorded."""
        same = (self.scenario, self.numerics) == (other.scenario, other.numerics)
        if self.content and other.content:
            return same and self.content == other.content
        return same and self.named == other.named

    def differs(self, other: Setting) -> str:
        """Name what the two differ in."""
        if self.scenario != other.scenario:
            return "scenario"
        if self.numerics != other.numerics:
            return f"numerics ({self.numerics} and {other.numerics})"
        if self.content and other.content:
            return _first_difference(self.content, other.content)
        return _first_difference(self.named, other.named) or "content, which one of them does not name"


def _first_difference(one: Sequence[str], other: Sequence[str]) -> str:
    pairs = zip(CONTENT, one, other, strict=True)
    return next((f"{part} ({a[:8]} and {b[:8]})" for part, a, b in pairs if a != b), "")


def setting_of(record: Record) -> Setting:
    """Read a record's setting."""
    identity, data = record.identity, record.data
    content = (
        (identity.data_sha256, identity.partition_sha256, identity.backbone_sha256) if identity else (None,)
    )
    known = tuple(part for part in content if part is not None)
    return Setting(
        scenario=record.scenario.fingerprint,
        named=(data.fingerprint, data.partition_fingerprint, data.backbone_fingerprint),
        content=known if len(known) == len(CONTENT) else None,
        numerics=record.numerics,
    )


def completed_settings(settings: Iterable[Setting]) -> dict[Setting, Setting]:
    """Give settings without content hashes those that all others of the same names have, if they agree.

    Records from before content was hashed are so compared with new ones of the same data.
    """
    everything = list(dict.fromkeys(settings))
    hashes: dict[tuple[str, tuple[str, ...]], set[tuple[str, ...]]] = defaultdict(set)
    for setting in everything:
        if setting.content:
            hashes[setting.scenario, setting.named].add(setting.content)
    completed = {}
    for setting in everything:
        known = hashes[setting.scenario, setting.named]
        adopts = setting.content is None and len(known) == 1
        completed[setting] = replace(setting, content=next(iter(known))) if adopts else setting
    return completed


def commonest(settings: Sequence[Setting]) -> Mapping[str, Setting]:
    """By scenario: the setting of the most records, among those with content hashes if there are any; of
    several, the one that comes first."""
    counts: dict[str, Counter[Setting]] = defaultdict(Counter)
    hashed = {setting.scenario for setting in settings if setting.content}
    for setting in settings:
        if setting.content or setting.scenario not in hashed:
            counts[setting.scenario][setting] += 1
    return {scenario: counter.most_common(1)[0][0] for scenario, counter in counts.items()}
