"""VLFeedback (arXiv 2312.10665) and POVID (arXiv 2402.11411) as preferences; clients are domains.

Columns of VLFeedback: ``id``, ``prompt``, ``image``, ``completions`` (lists ``response`` and ``annotations``,
the latter with a ``Rating`` of each aspect). Of POVID: ``id``, ``image`` (the name of a COCO file),
``conversations`` and ``rejected_conversations`` (turns with ``from`` and ``value``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fedbench import PreferenceData, UsageError
from fedbench_papers.options import POVID, RatedOptions, VLFeedback
from fedbench_papers.preferences import Row, assemble, sound
from fedbench_papers.tables import images as images_of
from fedbench_papers.tables import read

Answers = tuple[str, str, str]
"""Question, better and worse answer."""


def vlfeedback(options: VLFeedback) -> PreferenceData:
    """Make the data: the best rated answer over the worst, by their mean ratings; a row of equal ratings
    is left out."""
    return _rated(options, ("prompt", "completions"), _best_and_worst, images=None)


def povid(options: POVID) -> PreferenceData:
    """Make the data: a conversation's first answer over that of the rejected conversation."""
    return _rated(
        options, ("conversations", "rejected_conversations"), _chosen_and_rejected, images=options.images
    )


def _rated(
    options: RatedOptions,
    columns: Sequence[str],
    answers: Callable[[Mapping[str, Any]], Answers | None],
    images: str | None,
) -> PreferenceData:
    table, notes = read(options, ("id", "image", *columns))
    rows = table.rows
    places = [
        (place, domain)
        for place, name in enumerate(rows["id"])
        if (domain := _domain(options, str(name))) in {*options.clients, *options.held_out}
    ]
    if not places:
        starts = sorted({str(name)[:12] for name in rows["id"]})[:8]
        raise UsageError(
            f"data {options.name!r} has no row of the domains {', '.join(options.domains)}",
            why=f"ids begin with {', '.join(starts)}, …",
            fix="say in data.options.domains how the ids of a domain begin",
        )
    texts = rows.remove_columns(["image"])
    tied: list[int] = []

    def compared() -> Iterator[Row]:
        for place, domain in places:
            try:
                pair = answers(texts[place])
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise UsageError(
                    f"row {place} of data {options.name!r} can't be read",
                    where=options.path,
                    why=f"{type(error).__name__}: {error}",
                    fix="take the row out",
                ) from error
            if pair:
                yield Row(place, domain, *pair)
            else:
                tied.append(place)

    kept = sound(options, compared(), notes)
    if tied:
        why = "their answers are rated alike, or fewer than two are rated"
        notes.append(f"{len(tied)} of {len(places)} rows are left out, such as row {tied[0]}: {why}")
    if other := len(rows) - len(places):
        notes.append(f"{other} of {len(rows)} rows are of no domain that is named")
    return assemble(options, kept, images_of(options, table, "image", images), "domain", notes)


def _domain(options: RatedOptions, name: str) -> str:
    for domain, starts in options.domains.items():
        if name.startswith(tuple(starts)):
            return domain
    return ""


def _best_and_worst(row: Mapping[str, Any]) -> Answers | None:
    completions = row["completions"] or {"response": (), "annotations": ()}
    responses, notes = completions["response"] or (), completions["annotations"] or ()
    rated = [
        (rating, response or "")
        for response, note in zip(responses, notes, strict=True)
        if (rating := _rating(note)) is not None
    ]
    if len({rating for rating, _ in rated}) < 2:
        return None
    best, worst = max(rated, key=lambda pair: pair[0]), min(rated, key=lambda pair: pair[0])
    return row["prompt"] or "", best[1], worst[1]


def _rating(note: Mapping[str, Any]) -> float | None:
    """Average over the aspects; None if there is none, or one of them is not a number ("N/A")."""
    try:
        ratings = [float(aspect["Rating"]) for aspect in note.values()]
    except (AttributeError, TypeError, ValueError):
        return None
    return sum(ratings) / len(ratings) if ratings and all(map(math.isfinite, ratings)) else None


def _chosen_and_rejected(row: Mapping[str, Any]) -> Answers:
    question, chosen = _exchange(row["conversations"])
    _, rejected = _exchange(row["rejected_conversations"])
    return question, chosen, rejected


def _exchange(turns: Sequence[Mapping[str, str | None] | None]) -> tuple[str, str]:
    """Read the first question, without the image's placeholder before or behind it, and its answer; empty
    where there is none."""
    said = {turn["from"]: turn["value"] or "" for turn in reversed(turns or ()) if turn}
    question = said.get("human", "").strip().removeprefix("<image>").removesuffix("<image>")
    return question.strip(), said.get("gpt", "")
