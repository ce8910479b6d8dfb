"""How well a generated answer agrees with those that are right: a score from 0 to 1 by each of four rules."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from fedbench.evaluation.vqa_answers import normalised

TOLERANCE = Decimal("0.05")
"""The share by which a number may differ (ChartQA)."""
THRESHOLD = 0.5
"""The normalised edit distance from which an answer is simply wrong (ANLS)."""
PEOPLE = 3
"""How many people's answer is surely right (VQA)."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?%?", re.ASCII)
ARTICLES = re.compile(r"\b(a|an|the)\b")


def vqa_accuracy(said: str, right: Sequence[str]) -> float:
    """VQA accuracy (arXiv 1505.00468; answers normalised as in its evaluation code).

    min(people who gave this answer / 3, 1), averaged over all sets of the people but one: of ten people's
    answers, one that 1, 2, 3 of them gave scores 0.3, 0.6, 0.9.
    """
    people, same = len(right), [normalised(answer) for answer in right].count(normalised(said))
    with_one_left_out = same * min((same - 1) / PEOPLE, 1), (people - same) * min(same / PEOPLE, 1)
    return sum(with_one_left_out) / people


def relaxed_accuracy(said: str, right: Sequence[str]) -> float:
    """ChartQA's relaxed accuracy (arXiv 2203.10244): a number within 5 % of a right one, or an equal text.

    ``12%`` is 0.12. Where the right number is 0, or either isn't a number, the texts have to be equal.
    """
    return float(any(_agrees(_plain(said), _plain(answer)) for answer in right))


def token_f1(said: str, right: Sequence[str]) -> float:
    """SQuAD's F1 (arXiv 1606.05250) of an answer's words with those of the reference that it is nearest to.

    Case, punctuation and articles don't count, unless nothing else is left.
    """
    return max(_f1(_words(said), _words(answer)) for answer in right)


def anls(said: str, right: Sequence[str]) -> float:
    """ANLS (arXiv 1907.00490): 1 − edit distance / length of the longer text, with the nearest reference.

    It is 0 where that distance is half the length or more. Case and the number of spaces don't count.
    """
    return max(_similarity(_plain(said), _plain(answer)) for answer in right)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def _agrees(said: str, right: str) -> bool:
    ours, true = _number(said), _number(right)
    if ours is None or not true:
        return said == right
    return abs(ours - true) <= TOLERANCE * abs(true)


def _number(text: str) -> Decimal | None:
    if not NUMBER.fullmatch(text):
        return None
    return Decimal(text[:-1]) / 100 if text.endswith("%") else Decimal(text)


def _words(text: str) -> Counter[str]:
    kept = (" " if _is_mark(character) else character for character in _plain(text))
    spelt = "".join(kept)
    return Counter(ARTICLES.sub(" ", spelt).split() or spelt.split())


def _is_mark(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def _f1(said: Counter[str], right: Counter[str]) -> float:
    total = said.total() + right.total()
    return 2 * (said & right).total() / total if total else 0.0


def _similarity(said: str, right: str) -> float:
    longer = max(len(said), len(right))
    if not longer or abs(len(said) - len(right)) >= THRESHOLD * longer:
        return 0.0
    distance = edit_distance(said, right) / longer
    return 1 - distance if distance < THRESHOLD else 0.0


def edit_distance(first: str, second: str) -> int:
    """Levenshtein's distance: the fewest characters to insert, delete or exchange, row by row of the table.

    >>> edit_distance("kitten", "sitting")
    3
    """
    above = list(range(len(second) + 1))
    for row, character in enumerate(first, 1):
        current = [row]
        for column, other in enumerate(second, 1):
            exchanged = above[column - 1] + (character != other)
            current.append(min(exchanged, above[column] + 1, current[-1] + 1))
        above = current
    return above[-1]
