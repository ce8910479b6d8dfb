"""Scores of items, packed: they come back, and their mean is the measure they are of."""

import numpy as np
import pytest

from fedbench.evaluation.metrics import CaptionLikelihood, ChoiceAccuracy, ExactMatch, YesNo
from fedbench.results.item_scores import ItemScores


def rows(metric, n=60):
    """Made-up rows of ``n`` items in groups of four."""
    rng = np.random.default_rng(5)
    columns = {"group": [str(i // 4) for i in range(n)]}
    if metric is CaptionLikelihood:
        tokens = rng.integers(1, 9, n)
        hits = (tokens * rng.random(n)).astype(int)
        return columns | {
            "logp": (-2 * tokens * rng.random(n)).tolist(),
            "tokens": tokens.tolist(),
            "hits": hits.tolist(),
        }
    if metric is ExactMatch:
        said = rng.choice(["a", "b"], n).tolist()
        return columns | {
            "prediction": said,
            "references": [["a"]] * n,
            "parsed": (rng.random(n) > 0.2).tolist(),
        }
    scores = rng.normal(size=(2, n, 2)).tolist()
    return columns | {"scores": scores[0], "blind": scores[1], "answer": rng.integers(0, 2, n).tolist()}


@pytest.mark.parametrize("metric", [CaptionLikelihood, ChoiceAccuracy, ExactMatch, YesNo])
def test_the_mean_of_the_decoded_scores_is_the_measure_and_their_spread_its_error(metric):
    columns = rows(metric)
    for name, figures in metric().compute(**columns).items():
        packed = ItemScores.of(figures["scores"], columns["group"])
        decoded, groups = packed.decoded()[0], packed.decoded_groups()
        exact = packed.encoding == "bits"
        assert decoded.mean() == pytest.approx(figures["value"], rel=0 if exact else 1e-6), name
        sums = np.bincount(groups, weights=decoded - decoded.mean())
        se = np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(decoded)
        assert se == pytest.approx(figures["se"], rel=1e-5), name
        counted = name in ("accuracy", "raw_accuracy", "exact_match", "unparsed", "yes_ratio")
        assert exact == counted, "hits are packed as bits"


@pytest.mark.parametrize("n", [1, 7, 8, 9, 476, 10_000])
@pytest.mark.parametrize("models", [1, 3])
def test_hits_take_a_bit_each_and_come_back(n, models):
    hits = np.random.default_rng(n).integers(0, 2, models * n)
    packed = ItemScores.of(hits, [str(i % 5) for i in range(n)], models)
    assert packed.encoding == "bits"
    assert (packed.decoded() == hits.reshape(models, n)).all()
    assert sum(map(len, packed.scores)) == 2 * -(-models * n // 8)
    assert max(map(len, packed.scores)) <= 4096, "no text of a record is too long to be read"


def test_groups_are_numbered_as_they_come_and_named_by_a_hash():
    packed = ItemScores.of([1, 0, 1, 1], ["pear", "apple", "pear", "fig"])
    assert packed.decoded_groups().tolist() == [0, 1, 0, 2]
    assert packed.groups_sha256 == ItemScores.of([0.5] * 4, ["pear", "apple", "pear", "fig"]).groups_sha256
    assert packed.groups_sha256 != ItemScores.of([1] * 4, ["pear", "apple", "pear", "nut"]).groups_sha256
    many = [str(i) for i in range(300)]
    assert ItemScores.of(np.ones(300), many).decoded_groups().tolist() == list(range(300))


def test_other_numbers_are_float32():
    packed = ItemScores.of([0.5, -1.25, 3e-8], ["a", "b", "c"])
    assert packed.encoding == "float32" and packed.decoded().tolist() == [[0.5, -1.25, np.float32(3e-8)]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"items": 4}, "groups are not those of 4 items"),
        ({"models": 3}, "scores are not those of 3 × 3 items"),
        ({"scores": ["zz"]}, "non-hexadecimal"),
        ({"scores": []}, "scores are not those"),
        ({"groups": ["00"]}, "groups are not those of 3 items"),
        ({"encoding": "float32"}, "scores are not those"),
    ],
)
def test_what_is_not_as_long_as_it_says_is_refused(change, said):
    values = ItemScores.of([1, 0, 1], ["a", "a", "b"]).model_dump()
    with pytest.raises(ValueError, match=said):
        ItemScores.model_validate(values | change)


def test_scores_of_other_items_are_no_scores():
    with pytest.raises(ValueError, match="3 scores for 2 × 3 items"):
        ItemScores.of([1, 0, 1], ["a", "a", "b"], models=2)
