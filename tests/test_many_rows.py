"""A data set of many rows: hashes and token tables are made in pieces and are those of the whole."""

from itertools import chain

import numpy as np
import pytest
import torch

from fedbench import AlignmentData, Item, Pair, Preference, PreferenceData, Suite
from fedbench.catalog import Catalog
from fedbench.data import tokens
from fedbench.data.content import data_sha256
from fedbench.data.tokens import TokenTable
from fedbench.fingerprint import canonical_json, json_pieces, sha256_json
from fedbench.models.language import LanguageModel
from fedbench.plugins import Plugins

ROWS = 25_003
ITEM = Item(ROWS, "what?", "dog", "dog", ("dog", "cat"))


def whole(value):
    """The value with lists for iterators."""
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    return list(value) if hasattr(value, "__next__") else value


@pytest.mark.parametrize("value", [{}, {"b": 1, "a": []}, {"é": {"x": None}}, [1, {"z": 2, "a": "\n"}], "a"])
def test_pieces_are_the_canonical_text(value):
    assert "".join(json_pieces(value)) == canonical_json(value)


@pytest.mark.parametrize("count", [0, 1, 9_999, 10_000, 10_001, ROWS])
def test_an_iterator_is_written_as_the_list_of_its_members(count):
    pieces = list(json_pieces({"rows": ((n, f"{n}") for n in range(count)), "a": 1}))
    assert "".join(pieces) == canonical_json({"rows": [[n, f"{n}"] for n in range(count)], "a": 1})
    assert max(map(len, pieces)) < 200_000, "no piece is the whole"


def test_fingerprints_are_those_of_the_whole_content():
    suite = Suite("test", "name", "choice", (ITEM,))
    shared = {
        "name": "x", "image_fingerprint": "0" * 64, "images": ["an image"] * (ROWS + 1),
        "units": np.arange(ROWS + 1), "suites": {suite.key: suite},
        "labels": {"kind": ["é", *map(str, range(ROWS))]},
    }  # fmt: skip
    pairs = tuple(Pair(n, "what?", f"answer {n}") for n in range(ROWS))
    preferences = tuple(Preference(n, "what?", f"better {n}", "worse") for n in range(ROWS))
    both = (
        AlignmentData(pairs=pairs, **shared),
        PreferenceData(pairs=preferences, queries=(ITEM,), comparisons=preferences[:2], **shared),
    )
    for data in both:
        content = whole(data.content("0" * 64))
        assert [list(row) for row in content["pairs"][:1]] == [
            [getattr(data.pairs[0], name) for name in type(data.pairs[0]).__slots__]
        ]
        assert data.fingerprint == sha256_json(content)
        labels = {name: list(values) for name, values in data.labels.items()}
        assert data_sha256(data, "1" * 64) == sha256_json(content | {"images": "1" * 64, "labels": labels})


def test_a_table_made_in_chunks_is_the_padded_table(monkeypatch):
    """Against rows that are padded one by one, as a table was once kept."""
    nano = Catalog(Plugins()).backbones["nano"]
    llm = LanguageModel(nano.create(nano.options()))
    texts = [("what?", "a cat"), ("", "a dog and a cat"), ("what?", "a"), ("is it red?", "yes"), ("", "no")]
    pairs = [Pair(n, *texts[n % 5]) for n in range(23)]
    monkeypatch.setattr(tokens, "CHUNK", 4)
    table = TokenTable.build(pairs, llm)
    prompts = llm.prompt_ids([pair.prompt for pair in pairs])
    answers = llm.answer_ids([pair.answer for pair in pairs])
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    for index in (torch.tensor([[3, 1, -1], [22, 0, 0]]), torch.tensor([2]), torch.tensor([-1, 4])):
        ids, text, answer = table.gather(index)
        examples = index.flatten().tolist()
        length = max((len(rows[n]) for n in examples if n >= 0), default=0)
        assert ids.shape == text.shape == answer.shape == (*index.shape, length)
        for n, row, real, asked in zip(
            examples, *(part.flatten(0, -2).tolist() for part in (ids, text, answer)), strict=True
        ):
            padded = [*rows[max(n, 0)], *[0] * length][:length]
            assert row == padded
            assert list(chain(real)) == [n >= 0 and place < len(rows[n]) for place in range(length)]
            assert asked == [real[place] and place >= len(prompts[n]) for place in range(length)]
