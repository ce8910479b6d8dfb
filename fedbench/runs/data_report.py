"""What can be said of a scenario's data before it is used: what is broken, who holds what, what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import torch

from fedbench.data.checks import check_evaluation
from fedbench.data.content import shared_content
from fedbench.data.heterogeneity import Heterogeneity, default_label, heterogeneity
from fedbench.data.inspection import ImageInspection, inspect_images
from fedbench.data.items import FederatedData
from fedbench.data.lengths import length_problems
from fedbench.data.loading import load_partition, make_data
from fedbench.data.problems import Problem, data_problems, entries_of
from fedbench.errors import FedbenchError, Unavailable
from fedbench.models.backbone import Backbone
from fedbench.models.language import LanguageModel
from fedbench.resolution import ResolvedScenario
from fedbench.runs.encoding_cost import EncodingCost, encoding_cost


@dataclass(frozen=True, kw_only=True)
class Fault:
    """All faults of one kind in one place."""

    kind: str
    """What is wrong: ``truncated image``, ``not a text`` …"""
    what: str
    """What it is wrong with: ``row``, ``image``, ``pair``, ``item of test/name`` …"""
    numbers: tuple[int, ...]
    """Which of them, counted from 0; empty where it is the whole."""
    example: str = ""
    """The first of them in a line; empty for rows that the data set has left out."""


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What a scenario's data is, and what is wrong with it."""

    data: FederatedData
    """The data; without its broken rows where the data set can leave them out."""
    images: ImageInspection
    """What was seen of its images."""
    left_out: tuple[Fault, ...]
    """Rows that the scenario has the data set leave out."""
    broken: tuple[Fault, ...]
    """What would end a run of the scenario."""
    clients: Heterogeneity | None
    """What each client holds; None if the data can't be dealt."""
    encoding: EncodingCost | None
    """What its images' features cost; None if none can be shown or the backbone is not here."""

    @property
    def fingerprint(self) -> str | None:
        """What ``data.sha256`` pins in a scenario; None if something is broken."""
        return None if self.broken else self.data.fingerprint


def report_data(
    resolved: ResolvedScenario,
    device: torch.device,
    say: Callable[[str], None],
    label: str | None = None,
) -> DataReport:
    """Load the scenario's data, look at every row and image, and deal it to the clients by ``label``.

    What is broken is listed and raises nothing; :class:`UsageError` is for data that can't be had at all.
    ``say`` gets what the data has to say of itself, and what can't be checked.
    """
    data, skipped = _loaded(resolved)
    if label is not None:
        data.label(label)
    for note in data.notes:
        say(f"data {data.name!r}: {note}")
    dropped = tuple(
        Fault(kind=kind, what="row", numbers=tuple(rows)) for kind, rows in data.left_out.items() if rows
    )
    problems = list(data_problems(data, resolved.forms))
    sound = not problems
    say(f"looking at {len(data.images):,} images")
    images = inspect_images(data.images)
    problems += images.problems
    clients = None
    if sound:
        problems += shared_content(data, images.digests)
        clients, found = _dealt(resolved, data, label)
        problems += found
    backbone = _backbone(resolved, say)
    encoding = None
    if backbone:
        problems += length_problems(data, LanguageModel(backbone)) if sound else ()
        encoding = encoding_cost(backbone.freeze(device), data.images, images.whole)
    return DataReport(
        data=data,
        images=images,
        left_out=() if skipped else dropped,
        broken=(*(dropped if skipped else ()), *_grouped(problems)),
        clients=clients,
        encoding=encoding,
    )


def _loaded(resolved: ResolvedScenario) -> tuple[FederatedData, bool]:
    """Make the data, without broken rows if it can, and say whether the scenario would have them refused."""
    part = resolved.data
    if not part.can_skip_broken:
        return make_data(part), False
    lenient = part.skipping_broken()
    return make_data(lenient), lenient.options != part.options


def _dealt(
    resolved: ResolvedScenario, data: FederatedData, label: str | None
) -> tuple[Heterogeneity | None, list[Problem]]:
    """What the clients hold, and what is wrong with pins, evaluation and partition."""
    problems: list[Problem] = []

    def tried(kind: str, what: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Unavailable:
            raise
        except FedbenchError as error:
            problems.append(Problem(kind=kind, what=what, line=str(error)))

    metrics = [entry.spec for entry in resolved.metrics]
    held: list[Heterogeneity] = []

    def deal() -> None:
        chosen = label or default_label(resolved.scenario, data)
        dealt = load_partition(resolved, data)
        held.append(heterogeneity(data, dealt, chosen, resolved.scenario.modality))

    tried("other content than is pinned", "data", lambda: resolved.data.check_pin(data.fingerprint))
    tried(
        "evaluation",
        "scenario",
        lambda: check_evaluation(resolved.scenario, data, metrics, resolved.forms),
    )
    tried("partition", "scenario", deal)
    return (held[0] if held else None), problems


def _backbone(resolved: ResolvedScenario, say: Callable[[str], None]) -> Backbone | None:
    """The scenario's backbone; None, and a line that says so, if it is not here."""
    try:
        backbone: Backbone = resolved.backbone.make()
    except Unavailable as error:
        say(f"lengths of texts and the cost of encoding are left out: {error}")
        return None
    return backbone


def _grouped(problems: list[Problem]) -> Iterator[Fault]:
    """Faults of one kind and place as one."""
    for (kind, what), same in groupby(sorted(problems, key=_place), key=_place):
        members = list(same)
        numbers = sorted({number for problem in members for number in problem.numbers})
        yield Fault(kind=kind, what=what, numbers=tuple(numbers), example=members[0].line)


def _place(problem: Problem) -> tuple[str, str]:
    return problem.kind, problem.what


def counted(data: FederatedData) -> dict[str, int]:
    """Count what there is to learn: pairs, and queries and comparisons where there are any."""
    return {f"{what}s": len(entries) for what, entries in entries_of(data).items() if " " not in what}
