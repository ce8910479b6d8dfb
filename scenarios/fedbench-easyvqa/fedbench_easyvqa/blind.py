"""Accuracy without the image: ``python -m fedbench_easyvqa.blind``.

The answer to a question is the one that its text had most often in training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import tabulate

from fedbench import AlignmentData, load_scenario, validated
from fedbench_easyvqa.dataset import easyvqa, read
from fedbench_easyvqa.hooks import SCENARIOS, EasyVQAOptions
from fedbench_easyvqa.questions import YESNO

Asked = tuple[str, str]
"""A question's text and its right answer."""


def majority(training: Iterable[Asked]) -> dict[str, str]:
    """Find each text's most frequent answer; of equally frequent ones the first in the alphabet."""
    counts: dict[str, Counter[str]] = {}
    for text, answer in training:
        counts.setdefault(text, Counter())[answer] += 1
    return {text: min(given, key=lambda a: (-given[a], a)) for text, given in counts.items()}


def accuracy(answers: Mapping[str, str], asked: Sequence[Asked]) -> float:
    """Compute the share of ``asked`` that ``answers`` gets right; an unknown text is wrong."""
    return sum(answers.get(text) == answer for text, answer in asked) / len(asked)


def by_suite(data: AlignmentData) -> dict[str, float]:
    """Compute the blind accuracy on every suite, learned from the training pairs."""
    answers = majority((pair.prompt, pair.answer) for pair in data.pairs)
    return {
        key: accuracy(answers, [(item.prompt, item.answer) for item in suite.items])
        for key, suite in data.suites.items()
    }


def as_published() -> dict[str, float]:
    """Compute it on all of easy-VQA's test questions, learned from all of its training questions."""
    answers = majority((question.text, question.answer) for question in read("train"))
    asked = [(question.text, question.answer) for question in read("test")]
    return {
        "all": accuracy(answers, asked),
        "yes/no": accuracy(answers, [(text, answer) for text, answer in asked if answer in YESNO]),
        "open": accuracy(answers, [(text, answer) for text, answer in asked if answer not in YESNO]),
    }


def main() -> None:
    """Print both as tables."""
    options = load_scenario(SCENARIOS / "easyvqa-tasks.toml").data.options
    data = easyvqa(validated(EasyVQAOptions, options, "data 'easy-vqa'"))
    for title, rates in (("easyvqa-tasks", by_suite(data)), ("easy-VQA as published", as_published())):
        print(tabulate.tabulate(rates.items(), headers=[title, "blind accuracy"], floatfmt=".4f"), end="\n\n")


if __name__ == "__main__":
    main()
