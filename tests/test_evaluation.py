"""Likelihoods, metrics and errors: packing changes nothing, figures agree with hand counts."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedbench.catalog import Catalog
from fedbench.data import Item, Partition, Suite
from fedbench.evaluation.estimates import average, mean, ratio
from fedbench.evaluation.evaluator import Evaluator
from fedbench.evaluation.metrics import CaptionLikelihood, ChoiceAccuracy, ExactMatch, YesNo
from fedbench.evaluation.packing import pack
from fedbench.evaluation.scoring import generate, likelihoods
from fedbench.models.language import LanguageModel
from fedbench.plugins import Plugins


@pytest.fixture(scope="module")
def llm(tiny):
    from fedbench_emoji.backbone import nano

    from fedbench import Options

    return LanguageModel(nano(Options()).freeze(torch.device("cpu")))


ITEMS = [
    Item(0, "what is this?", "red apple", "a", ("red apple", "green apple", "pear")),
    Item(1, "which category?", "food & drink", "b", ("food & drink", "objects")),
    Item(2, "is it a red apple?", "yes", "c", ("yes", "no")),
]


def separately(llm, item, choice, visual):
    """log p(choice) by one plain forward pass."""
    (prompt,), (answer,) = llm.prompt_ids([item.prompt]), llm.answer_ids([choice])
    text = llm.embed(torch.tensor([prompt + answer]))
    embeddings = text if visual is None else torch.cat([visual, text], dim=1)
    with torch.inference_mode():
        logits = llm.logits(llm.hidden(embeddings))[0].log_softmax(-1)
    first = embeddings.shape[1] - len(answer)
    return sum(logits[first + i - 1, token].item() for i, token in enumerate(answer))


@pytest.mark.parametrize("blind", [False, True])
def test_packed_choices_score_as_if_each_were_alone(llm, blind):
    visual = None if blind else 0.1 * torch.randn(3, 4, llm.backbone.width)
    found = likelihoods(llm, pack(ITEMS, llm), visual)
    for i, item in enumerate(ITEMS):
        own = None if visual is None else visual[i : i + 1]
        wanted = [separately(llm, item, choice, own) for choice in item.choices]
        assert found.logp[i] == pytest.approx(wanted, abs=1e-4)


def test_the_prior_of_a_text_is_that_of_each_of_its_items(llm):
    items = (ITEMS[0], ITEMS[1], replace(ITEMS[0], image=2), ITEMS[2], replace(ITEMS[2], answer="no"))
    suite = Suite("test", "all", "choice", items)
    evaluator = Evaluator(
        llm, lambda params, images: torch.zeros(len(images), 4, llm.backbone.width), {suite.key: suite},
        metrics=[], forms=Catalog(Plugins()).forms, units=[0, 1, 2], partition=Partition((), ()),
    )  # fmt: skip
    blind = evaluator.rows(torch.zeros(1), suite.key)["blind"]
    assert [len(scores) for scores in blind] == [3, 2, 3, 2, 2]
    for scores, item in zip(blind, items, strict=True):
        wanted = [separately(llm, item, choice, None) for choice in item.choices]
        assert scores == pytest.approx(wanted, abs=1e-4)


def test_an_item_without_choices_is_scored_on_its_answer(llm):
    visual = 0.1 * torch.randn(1, 4, llm.backbone.width)
    item = Item(0, "what is this?", "red apple", "a")
    found = likelihoods(llm, pack([item], llm), visual)
    assert found.logp[0] == pytest.approx([separately(llm, item, "red apple", visual)], abs=1e-4)
    assert found.tokens == [len(llm.answer_ids(["red apple"])[0])]
    assert 0 <= found.hits[0] <= found.tokens[0]


def test_generation_is_greedy_and_says_when_it_did_not_end(llm):
    visual = 0.1 * torch.randn(3, 4, llm.backbone.width)
    assert generate(llm, ITEMS, visual) == generate(llm, ITEMS, visual)
    assert generate(llm, ITEMS, visual, limit=1).count(None) == 3, "one token is no closed answer"


def test_errors_are_clustered_by_concept():
    values = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    alone = mean(values).measure(list("abcdef"), "share")
    assert alone["se"] == pytest.approx(values.std(ddof=1) / math.sqrt(6))
    paired = mean(values).measure(list("aabbcc"), "share")
    groups = np.array([1.0, 0.0, 0.5])
    assert paired["se"] == pytest.approx(groups.std(ddof=1) / math.sqrt(3))
    assert mean(values).measure(["a"] * 6, "share")["se"] is None


def test_ratio_errors_agree_with_the_bootstrap():
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 9, 400)
    nll = tokens * 2.0 + rng.normal(0, 3, 400)
    found = ratio(nll, tokens).measure([str(i) for i in range(400)], "nats")
    draws = rng.integers(0, 400, (2000, 400))
    bootstrap = (nll[draws].sum(1) / tokens[draws].sum(1)).std()
    assert found["value"] == pytest.approx(nll.sum() / tokens.sum())
    assert found["se"] == pytest.approx(bootstrap, rel=0.1)


def test_average_keeps_the_covariance():
    values = np.array([0.0, 1.0, 1.0, 0.0])
    both = average(mean(values), mean(1 - values))
    assert both.value == 0.5 and np.allclose(both.influence, 0)


def test_choice_accuracy_is_against_the_blind_prior():
    scores, blind = [[-1.0, -2.0], [-1.0, -2.0]], [[-0.5, -3.0], [-1.0, -1.0]]
    found = ChoiceAccuracy().compute(scores=scores, blind=blind, answer=[1, 0], group=["a", "b"])
    assert found["accuracy"]["value"] == 1.0 and found["raw_accuracy"]["value"] == 0.5


def test_yes_no_figures_are_popes():
    from sklearn.metrics import balanced_accuracy_score, f1_score

    rng = np.random.default_rng(1)
    true = rng.integers(0, 2, 60)
    scores = rng.normal(size=(60, 2))
    said = (scores[:, 0] > scores[:, 1]).astype(int)
    group = [str(i) for i in range(60)]
    found = YesNo().compute(
        scores=scores.tolist(), blind=scores.tolist(), answer=(1 - true).tolist(), group=group
    )
    assert found["accuracy"]["value"] == pytest.approx((said == true).mean())
    assert found["f1"]["value"] == pytest.approx(f1_score(true, said))
    assert found["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(true, said))
    assert found["yes_ratio"]["value"] == pytest.approx(said.mean())
    always = YesNo().compute(
        scores=[[0.0, -1.0]] * 4, blind=[[0.0, 0.0]] * 4, answer=[0, 0, 1, 1], group=list("abcd")
    )
    assert always["balanced_accuracy"]["value"] == 0.5 and always["yes_ratio"]["value"] == 1.0


def test_unparsed_answers_are_wrong_and_counted():
    found = ExactMatch().compute(
        prediction=["Red  Apple", "pear", ""],
        references=[["red apple"], ["plum"], [""]],
        parsed=[True, True, False],
        group=list("abc"),
    )
    assert found["exact_match"]["value"] == pytest.approx(1 / 3)
    assert found["unparsed"]["value"] == pytest.approx(1 / 3)


def test_caption_likelihood_is_per_token():
    found = CaptionLikelihood().compute(logp=[-2.0, -6.0], tokens=[2, 4], hits=[1, 2], group=["a", "b"])
    assert found["nll"]["value"] == pytest.approx(8 / 6)
    assert found["nll"]["better"] == "lower"
    assert found["token_accuracy"]["value"] == pytest.approx(0.5)


CHOICE_ROWS = {
    "scores": [[-1.0, -2.0, -0.1], [float("nan"), 0.0], [-1.0 / 3, -1.0]],
    "blind": [[-0.5, -3.0, -0.2], [0.0, 0.0], [-1.0, -1.0]],
    "answer": [1, 0, 0],
    "group": ["b", "a", "b"],
}


@pytest.mark.parametrize(
    ("metric", "rows"),
    [
        (ChoiceAccuracy, CHOICE_ROWS),
        (YesNo, CHOICE_ROWS),
        (CaptionLikelihood, {"logp": [-2.1, -6.3], "tokens": [2, 4], "hits": [1, 2], "group": ["a", "b"]}),
        (
            ExactMatch,
            {
                "prediction": ["a", ""],
                "references": [["b", "A"], [""]],
                "parsed": [True, False],
                "group": ["a", "b"],
            },
        ),
    ],
)
def test_rows_at_hand_and_rows_through_evaluates_arrow_file_have_the_same_figures(metric, rows):
    through_arrow = metric()
    through_arrow.add_batch(**rows)
    assert repr(metric().compute(**rows)) == repr(through_arrow.compute())
