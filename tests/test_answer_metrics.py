"""Scores of generated answers: the papers' examples, counts by hand, and what a score must not reward."""

import math
import random
from functools import cache
from statistics import mean as average

import numpy as np
import pytest

from fedbench import Item
from fedbench.catalog import Catalog
from fedbench.evaluation.answer_metrics import ANLS, RelaxedAccuracy, TokenF1, VQAAccuracy
from fedbench.evaluation.answer_scores import anls, edit_distance, relaxed_accuracy, token_f1, vqa_accuracy
from fedbench.evaluation.vqa_answers import normalised
from fedbench.plugins import Plugins
from fedbench.results.item_scores import ItemScores

METRICS = (VQAAccuracy, RelaxedAccuracy, TokenF1, ANLS)


@pytest.mark.parametrize(("people", "score"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_vqa_accuracy_of_ten_people_is_the_published(people, score):
    """visualqa.org/evaluation.html: all subsets of nine of the ten people."""
    right = ["yes"] * people + [f"other {number}" for number in range(10 - people)]
    assert vqa_accuracy("Yes.", right) == pytest.approx(score)


def test_vqa_accuracy_is_the_mean_over_sets_of_the_people_but_one():
    draw = random.Random(3)
    for _ in range(200):
        right = draw.choices(["red", "blue", "2", "two"], k=draw.randint(4, 12))
        said = draw.choice(["red", "two", "green"])
        spelt = [normalised(answer) for answer in right]
        sets = [spelt[:one] + spelt[one + 1 :] for one in range(len(spelt))]
        wanted = average(min(others.count(normalised(said)) / 3, 1) for others in sets)
        assert vqa_accuracy(said, right) == pytest.approx(wanted)


SPELT = {
    "100,978": "100978",
    "The Red, White": "red white",
    "girl's": "girl's",
    "girls": "girls",
    "10:30 A.M.": "10:30 am",
    "3.5": "3.5",
    "two dogs and a cat": "2 dogs and cat",
    "none": "0",
    "dont know": "don't know",
    "couldnt've": "couldn't've",
    "she'd": "she'd",
    "red/blue": "red blue",
    "t-shirt": "t shirt",
    "yes!": "yes",
    "a\nb": "b",
    "": "",
    "the": "the",
    "?": "?",
}


@pytest.mark.parametrize(("answer", "spelt"), SPELT.items())
def test_answers_are_spelt_as_the_vqa_evaluation_does(answer, spelt):
    """Its rules one by one; an answer of nothing but articles or marks is no other answer's equal."""
    assert normalised(answer) == spelt


RELAXED = [
    ("105", "100", 1),
    ("95", "100", 1),
    ("105.01", "100", 0),
    ("0.105", "0.1", 1),  # in binary fractions this is more than 5 %
    ("-10", "10", 0),
    ("12%", "0.12", 1),
    ("12%", "12", 0),
    ("0.01", "0", 0),
    ("0", "0", 1),
    ("0.0", "0", 0),
    ("1.2e3", "1200", 1),
    ("Germany", "germany", 1),
    ("Germany ", "Germany", 1),
    ("Germani", "Germany", 0),
    ("inf", "100", 0),
    ("nan", "100", 0),
    ("1_000", "1000", 0),
    ("1e999999999", "100", 0),
    ("about 100", "100", 0),
    ("100 to 105", "100", 0),
    ("", "100", 0),
]


@pytest.mark.parametrize(("said", "right", "score"), RELAXED)
def test_numbers_may_be_five_per_cent_off_and_texts_may_not(said, right, score):
    """arXiv 2203.10244, section 5.1. What only a number's parser takes is no number."""
    assert relaxed_accuracy(said, [right]) == score
    assert relaxed_accuracy(said, ["no such text", right]) == score


F1 = [
    ("1976", ["1976"], 1),  # the example of SQuAD's metric in `evaluate`
    ("A cat, and the dog.", ["a cat and a dog"], 1),
    ("a cat", ["a dog sits here"], 0),
    ("Denver Broncos", ["Denver Broncos defeated Carolina"], 2 * 1 * 0.5 / 1.5),
    ("cat cat cat", ["cat"], 2 * (1 / 3) * 1 / (4 / 3)),
    ("cat", ["dog", "a small cat"], 2 * 1 * 0.5 / 1.5),
    ("the", ["a"], 0),
    ("A", ["a"], 1),
    ("", ["a"], 0),
    ("", [""], 0),
    ("caf\u00e9", ["cafe\u0301"], 1),
    ("«cat»…", ["cat"], 1),
]


@pytest.mark.parametrize(("said", "right", "score"), F1)
def test_words_in_common_are_counted_once_each(said, right, score):
    assert token_f1(said, right) == pytest.approx(score)


NEAR = [
    ("Coca-Cola", ["coca cola"], 1 - 1 / 9),
    ("kitten", ["sitting"], 1 - 3 / 7),
    ("sitting", ["kitten", "sitting"], 1),
    ("abcd", ["abxy"], 0),  # half of it: arXiv 1907.00490 has 0 from there on
    ("abcde", ["abcxy"], 1 - 2 / 5),
    ("  New   York ", ["new york"], 1),
    ("yes", ["no"], 0),
    ("a" * 1000, ["b"], 0),
    ("", [""], 0),
    ("", ["no"], 0),
]


@pytest.mark.parametrize(("said", "right", "score"), NEAR)
def test_anls_is_near_one_for_a_misread_letter_and_none_beyond_half(said, right, score):
    assert anls(said, right) == pytest.approx(score)


def test_the_edit_distance_is_the_recursive_definition():
    @cache
    def slowly(first, second):
        if not first or not second:
            return len(first) + len(second)
        kept = slowly(first[1:], second[1:]) + (first[0] != second[0])
        return min(kept, slowly(first[1:], second) + 1, slowly(first, second[1:]) + 1)

    draw = random.Random(5)
    for _ in range(300):
        first, second = ("".join(draw.choices("abc", k=draw.randint(0, 7))) for _ in "12")
        assert edit_distance(first, second) == slowly(first, second)


def rows(metric):
    right = ["red", "red", "red", "dark red"]
    return {
        "prediction": ["red", "red", "", "blue"],
        "references": [right] * 4,
        "parsed": [True, False, False, True],
        "group": ["a", "a", "b", "c"],
    }


@pytest.mark.parametrize("metric", METRICS)
def test_an_answer_that_never_ended_scores_nothing_and_errors_are_by_group(metric):
    columns = rows(metric)
    ((name, figures),) = metric().compute(**columns).items()
    one = metric().score("red", columns["references"][0])
    assert 0 < one <= 1 and figures["scores"].tolist() == [one, 0, 0, 0]
    assert figures["value"] == pytest.approx(one / 4) and (figures["unit"], figures["n"]) == ("share", 4)
    influence = [(one - 2 * one / 4) / 4, -one / 16, -one / 16]
    assert figures["se"] == pytest.approx(math.sqrt(3 / 2 * sum(np.square(influence))))
    assert ItemScores.of(figures["scores"], columns["group"]).decoded().mean() == pytest.approx(
        figures["value"], rel=1e-6
    )
    assert name == Catalog(Plugins()).metrics[name.replace("_", "-")].spec.values[0]


@pytest.mark.parametrize("metric", METRICS)
def test_rows_at_hand_and_rows_through_evaluates_arrow_file_have_the_same_figures(metric):
    through_arrow = metric()
    through_arrow.add_batch(**rows(metric))
    assert repr(metric().compute(**rows(metric))) == repr(through_arrow.compute())


@pytest.mark.parametrize("count", [0, 3])
def test_an_answer_that_few_people_gave_is_no_vqa(count):
    """Of three people's answers none could score 1, so the form takes none of these."""
    form = Catalog(Plugins()).forms["vqa"].create()
    assert f"has {count} references, fewer than 4" in form.problem(
        Item(0, "what?", "red", group="a", references=("red",) * count)
    )
    assert not form.problem(Item(0, "what?", "red", group="a", references=("red",) * 4))
    assert "has the answer 'red'" in form.problem(Item(0, "?", "red", group="a", references=("blue",) * 4))
