"""The drawings as alignment data: one-pass training pairs, and questions about unseen drawings."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from fedbench import AlignmentData, Item, Pair, Suite, UsageError, derive, sha256_json
from fedbench_emoji import texts
from fedbench_emoji.assets import FOLDER, verified
from fedbench_emoji.hooks import EmojiOptions
from fedbench_emoji.texts import Concept, Taxonomy, TextView
from fedbench_emoji.views import VERSION, Views

FILE = "emoji.parquet"
TRAIN_ARTISTS = ("noto", "twemoji")
UNSEEN_ARTIST = "fluent"
YESNO_TEXTS = 2
NAME_CHOICES = 4


@dataclass(frozen=True)
class Drawing:
    """A row of the Parquet file, without the pixels."""

    row: int
    """The row's number."""
    artist: str
    """Who drew it: noto, twemoji or fluent."""
    split: str
    """The concept's split: train, validation or unseen."""
    concept: Concept
    """What it shows."""


def emoji(options: EmojiOptions) -> AlignmentData:
    """Make the data: training pairs from two artists' drawings of the train concepts.

    Suites come in three splits: ``validation`` and ``unseen-concept`` (held-out concepts, the two known
    artists) and ``unseen-artist`` (the train concepts, drawn by the third).
    """
    content = verified(FILE)[FILE]
    drawings, encoded = read_drawings()
    train = [d for d in drawings if d.split == "train" and d.artist in TRAIN_ARTISTS]
    unread = [d for d in held_out(drawings) if d.artist in TRAIN_ARTISTS]
    splits = {
        "validation": [d for d in unread if d.split == "validation"],
        "unseen-concept": [d for d in unread if d.split == "unseen"],
        "unseen-artist": [d for d in drawings if d.split == "train" and d.artist == UNSEEN_ARTIST],
    }
    views = [(d.row, view) for d in train for view in range(options.views)]
    plain = [(d.row, 0) for members in splits.values() for d in members]
    index = views + plain
    place = {row: len(views) + i for i, (row, _) in enumerate(plain)}
    suites = [suite for name, members in splits.items() for suite in _suites(name, members, place, options)]
    return AlignmentData(
        name="emoji",
        image_fingerprint=sha256_json({"file": content, "views": VERSION, "index": index}),
        images=Views(encoded, index),
        units=np.array([row for row, _ in index]),
        pairs=tuple(_pairs(train, options)),
        suites={suite.key: suite for suite in suites},
        labels=_labels(drawings),
    )


def read_drawings() -> tuple[list[Drawing], list[bytes]]:
    """Read every row of the Parquet file, and the encoded images."""
    path = FOLDER / FILE
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            "can't read the drawings", where=path, why=error, fix="reinstall fedbench-emoji"
        ) from error
    encoded = table["image"].combine_chunks().field("bytes").to_pylist()
    rows = table.drop_columns(["image", "sha256"]).to_pylist()
    drawings = [
        Drawing(row=i, artist=row["artist"], split=row["split"], concept=Concept.of_row(row))
        for i, row in enumerate(rows)
    ]
    return drawings, encoded


def held_out(drawings: list[Drawing]) -> list[Drawing]:
    """List drawings of held-out concepts whose name is no train concept's keyword, kind or category.

    The LLM has read those, and "cat" is one of them; such a concept is held out of training but not unread,
    so it is not asked about either.
    """
    train = [d.concept for d in drawings if d.split == "train"]
    read = {word for concept in train for word in (*concept.keywords, concept.kind, concept.category)}
    return [d for d in drawings if d.split != "train" and d.concept.name not in read]


def _pairs(train: list[Drawing], options: EmojiOptions) -> Iterable[Pair]:
    """Pair every view with a few of the concept's texts; no (view, text) twice."""
    taxonomy = Taxonomy(tuple({d.concept.id: d.concept for d in train}.values()))
    for i, drawing in enumerate(train):
        for view in range(options.views):
            rng = random.Random(derive(options.seed, "texts", drawing.row, view))
            possible = dict.fromkeys(texts.all_views(drawing.concept, taxonomy, rng, yesno=YESNO_TEXTS))
            for text in rng.sample(list(possible), min(options.texts_per_view, len(possible))):
                yield Pair(i * options.views + view, text.prompt, text.answer)


def _suites(
    split: str, drawings: list[Drawing], place: Mapping[int, int], options: EmojiOptions
) -> Iterable[Suite]:
    taxonomy = Taxonomy(tuple({d.concept.id: d.concept for d in drawings}.values()))
    rng = random.Random(derive(options.seed, "suites", split))
    chosen = sorted(rng.sample(drawings, min(options.items, len(drawings))), key=lambda d: d.row)

    def item(drawing: Drawing, text: TextView, choices: tuple[str, ...] = ()) -> Item:
        return Item(place[drawing.row], text.prompt, text.answer, drawing.concept.id, choices)

    names = tuple(item(d, texts.name_view(d.concept)) for d in chosen)
    yield Suite(split, "caption", "caption", names)
    yield Suite(split, "generate", "generate", names)
    category = tuple(item(d, texts.category_view(d.concept), taxonomy.categories) for d in chosen)
    yield Suite(split, "category", "choice", category)
    fewer = sorted(rng.sample(chosen, min(options.kind_items, len(chosen))), key=lambda d: d.row)
    kind = tuple(item(d, texts.kind_view(d.concept), taxonomy.kinds) for d in fewer)
    yield Suite(split, "kind", "choice", kind)
    yield Suite(split, "name", "choice", tuple(_name_items(chosen, taxonomy, rng, item)))
    yesno = [
        item(d, texts.yesno_view(d.concept, taxonomy, rng, bool(i % 2)), ("yes", "no"))
        for i, d in enumerate(rng.sample(chosen, len(chosen)))
    ]
    yield Suite(split, "yesno", "yesno", tuple(yesno))


def _name_items(drawings: list[Drawing], taxonomy: Taxonomy, rng: random.Random, item) -> Iterable[Item]:  # type: ignore[no-untyped-def]
    """The right name among four of the same kind and split; kinds with fewer are passed over."""
    for drawing in drawings:
        siblings = [c.name for c in taxonomy.by_kind[drawing.concept.kind] if c.name != drawing.concept.name]
        if len(set(siblings)) >= NAME_CHOICES - 1:
            choices = [drawing.concept.name, *rng.sample(sorted(set(siblings)), NAME_CHOICES - 1)]
            rng.shuffle(choices)
            yield item(drawing, texts.name_view(drawing.concept), tuple(choices))


def _labels(drawings: list[Drawing]) -> dict[str, list[str]]:
    return {
        "artist": [d.artist for d in drawings],
        "concept": [d.concept.id for d in drawings],
        "category": [d.concept.category for d in drawings],
        "kind": [d.concept.kind for d in drawings],
    }
