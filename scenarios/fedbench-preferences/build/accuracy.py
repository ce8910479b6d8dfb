"""Add to training.json how often the shipped start policy is right: greedy exact match on every suite.

python build/accuracy.py
"""

from __future__ import annotations

import json

import click
import torch
from fedbench_preferences.backbone import FILE, nano_vlm
from fedbench_preferences.dataset import domains, easyvqa, emoji
from fedbench_preferences.hooks import PreferenceOptions
from policy import RECORD

from fedbench import Backbone, Item, Options, Policy, PreferenceData, Projector, Questions

LIMIT = 12
"""Longest answer in tokens: the scenarios' max_tokens."""


def accuracies(backbone: Backbone, data: PreferenceData) -> dict[str, float]:
    """Compute the accuracy on each suite, and on each label's items in it."""
    shares: dict[str, float] = {}
    for key, suite in data.suites.items():
        right = greedy(backbone, data, suite.items)
        shares[key] = sum(right) / len(right)
        labels = [data.labels["task"][item.image] for item in suite.items]
        for label in dict.fromkeys(labels) if key != "test/overall" else ():
            own = [hit for hit, other in zip(right, labels, strict=True) if other == label]
            shares[f"{key}/{label}"] = sum(own) / len(own)
    return {key: round(value, 4) for key, value in shares.items()}


def greedy(backbone: Backbone, data: PreferenceData, items: tuple[Item, ...]) -> list[bool]:
    """Mark the items that the policy's likeliest answer is right on."""
    features = backbone.encode([data.images[item.image] for item in items])
    projector = Projector.holding(backbone.projector, features.shape[-1], backbone.width)
    policy = Policy(backbone, projector, backbone.projector, features)
    asked = Questions(torch.arange(len(items)), policy.llm.prompt_ids([item.prompt for item in items]))
    answers = policy.texts(policy.sample(asked, 1, limit=LIMIT, temperature=0, stream=None))
    return [answer == item.answer for answer, item in zip(answers, items, strict=True)]


@click.command(help=__doc__)
def main() -> None:
    """Run the command."""
    backbone = nano_vlm(Options()).freeze(torch.device("cpu"))
    path = FILE.parent / RECORD
    record = json.loads(path.read_text(encoding="utf-8"))
    record["greedy_exact_match"] = {
        data.name: accuracies(backbone, data)
        for data in (make(PreferenceOptions()) for make in (emoji, easyvqa, domains))
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
