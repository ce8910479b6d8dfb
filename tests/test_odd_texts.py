"""Odd texts are learnt as they are, character for character, or named: each kind of ``odd_texts``."""

import numpy as np
import odd_inputs
import pytest
import torch
from odd_texts import KEPT, REFUSED

from fedbench import AlignmentData, Pair, UsageError
from fedbench.catalog import Catalog
from fedbench.data.checks import check_data
from fedbench.data.lengths import check_lengths, length_problems
from fedbench.data.problems import data_problems
from fedbench.data.tokens import TokenTable
from fedbench.models.language import LanguageModel
from fedbench.plugins import Plugins


@pytest.fixture(scope="module")
def catalog():
    return Catalog(Plugins(strict=True))


@pytest.fixture(scope="module")
def llm(catalog):
    nano = catalog.backbones["nano"]
    return LanguageModel(nano.create(nano.options()))


def data(*answers):
    pairs = tuple(Pair(0, "what is it?", answer) for answer in answers)
    return AlignmentData("pets", "0" * 64, ["an image"], np.arange(1), pairs, {})


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_an_odd_text_is_learnt_character_for_character(text, llm, catalog):
    made = data("a cat", text)
    assert not [*data_problems(made, catalog.forms), *length_problems(made, llm)]
    table = TokenTable.build(made.pairs, llm)
    whole, _, answer = table.gather(torch.tensor([1]))
    ids = whole[answer].tolist()
    tokenizer = llm.backbone.tokenizer
    assert not set(tokenizer.all_special_ids) & set(ids[:-1]) and ids[-1] == llm.eos
    assert tokenizer.decode(ids[:-1]) == llm.backbone.chat_template.lead + text


@pytest.mark.parametrize(("text", "kind"), REFUSED.values(), ids=REFUSED)
def test_a_text_that_can_not_be_learnt_is_named(text, kind, llm, catalog):
    made = data("a cat", text)
    problems = [*data_problems(made, catalog.forms)] or [*length_problems(made, llm)]
    assert [(problem.kind, problem.what, problem.numbers) for problem in problems] == [(kind, "pair", (1,))]
    with pytest.raises(UsageError, match=r"data 'pets' can't be used: pair 1 has .* — .*fedbench data check"):
        check_data(made, "data 'pets'", catalog.forms)
        check_lengths(made, llm, "data 'pets'")


def test_an_llm_that_does_not_say_its_length_takes_any(llm, monkeypatch):
    monkeypatch.setattr(LanguageModel, "positions", None)
    assert not list(length_problems(data("a cat " * 1000), llm))


def test_the_page_says_what_happens():
    """``python tests/odd_inputs.py`` writes it."""
    assert odd_inputs.page() == odd_inputs.PAGE.read_text(encoding="utf-8")
