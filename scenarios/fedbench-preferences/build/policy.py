"""Tune the nano model to answer, a little: the policy that the preference scenarios align.

    OMP_NUM_THREADS=1 python build/policy.py && python build/accuracy.py

Only pictures of the pool "start" are seen, which no client, query, comparison or test has.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import click
import torch
from fedbench_emoji.backbone import nano
from fedbench_emoji.views import augmented
from fedbench_preferences.backbone import FILE, PROJECTOR
from fedbench_preferences.digits import digits
from fedbench_preferences.drawings import drawings
from fedbench_preferences.questions import Question, Source
from fedbench_preferences.shapes import shapes
from safetensors.torch import save
from torch import Tensor
from tqdm import trange
from transformers import get_linear_schedule_with_warmup

from fedbench import Backbone, Options, Policy, Projector, Questions, derive, torch_stream

SEED = 20261122
STEPS = 1200
RECORD = "training.json"
HIDDEN = 256
"""The projector's hidden width."""
BATCH = 64
LR = {"projector": 2e-3, "llm": 5e-4}
WARMUP = 30
VIEWS = 6
"""Augmented views of a drawing: drawings are few, and an artist draws a concept once."""
MIX: dict[str, dict[str, float]] = {
    "drawings": {"artist": 3, "kind": 4, "category": 1, "yesno-kind": 1, "yesno-category": 2},
    "shapes": {"color": 1, "shape": 0.5, "yesno-color": 1.5, "yesno-shape": 0.5},
    "digits": {"digit": 1, "yesno-digit": 1},
}
"""Weights of the tasks of each source."""
NOISE = 0.5
"""Standard deviation of the noise on the features, which have 1: with so few drawings they would be learned
by heart."""
LAZY = 0.45
"""Share of the training answers that were not looked up: the last in the alphabet of the right answer and its
siblings, such as yes of yes and no. They leave the model with habits for alignment to break."""


@dataclass(frozen=True)
class Asked:
    """A task's questions."""

    by_answer: Mapping[str, list[Question]]
    """The questions by their right answer."""
    rows: Mapping[int, range]
    """The rows of the features that hold the views of each picture."""

    def draw(self, rng: random.Random) -> tuple[int, str, str]:
        """Draw a row of the features, a question and the answer that is taught."""
        question = rng.choice(self.by_answer[rng.choice(list(self.by_answer))])
        answer = max(question.answer, *question.wrong) if rng.random() < LAZY else question.answer
        return rng.choice(self.rows[question.picture]), question.prompt, answer


def public(backbone: Backbone, sources: Mapping[str, Source]) -> tuple[Tensor, dict[str, list[Asked]]]:
    """Encode the start pool's pictures, and collect the questions about them."""
    features: list[Tensor] = []
    tasks: dict[str, list[Asked]] = {}
    count = 0
    for name, source in sources.items():
        rows: dict[int, range] = {}
        views = VIEWS if name == "drawings" else 1
        for picture in (i for i, pool in enumerate(source.pools) if pool == "start"):
            image = source.images[picture]
            turned = [
                augmented(image, random.Random(derive(SEED, "view", picture, v))) for v in range(1, views)
            ]
            features.append(backbone.encode([image, *turned]))
            rows[picture] = range(count, count + views)
            count += views
        for task in MIX[name]:
            by_answer: dict[str, list[Question]] = {}
            for question in source.ask[task]():
                if question.picture in rows:
                    by_answer.setdefault(question.answer, []).append(question)
            tasks.setdefault(name, []).append(Asked(by_answer, rows))
    return torch.cat(features), tasks


def batches(tasks: Mapping[str, list[Asked]], seed: int) -> Iterator[list[tuple[int, str, str]]]:
    """Draw batches of (row of the features, question, answer) without end."""
    rng = random.Random(seed)
    weighed = [
        (asked, weight)
        for name, members in tasks.items()
        for asked, weight in zip(members, MIX[name].values(), strict=True)
    ]
    while True:
        chosen = rng.choices([a for a, _ in weighed], [w for _, w in weighed], k=BATCH)
        yield [asked.draw(rng) for asked in chosen]


def train(policy: Policy, tasks: Mapping[str, list[Asked]], steps: int, seed: int) -> list[float]:
    """Train the policy; return the mean loss per answer token of each step."""
    groups = [
        {"params": [policy.projected], "lr": LR["projector"]},
        {"params": list(policy.weights.parameters()), "lr": LR["llm"]},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, WARMUP, steps)
    features, noise = policy.features, torch_stream(seed, "noise")
    losses = []
    stream = batches(tasks, seed)
    bar = trange(steps, file=sys.stderr, mininterval=5)
    for _ in bar:
        rows, prompts, answers = zip(*next(stream), strict=True)
        seen = features[torch.tensor(rows)]
        policy.features = seen + NOISE * torch.randn(seen.shape, generator=noise)
        questions = Questions(torch.arange(len(rows)), policy.llm.prompt_ids(prompts))
        ids, mask = padded(policy.llm.answer_ids(answers))
        loss = -policy.logp(questions, ids, mask).sum() / mask.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        bar.set_postfix(loss=f"{loss.item():.3f}")
    return losses


def padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Pad token ids on the right: ids [N, L] and their mask [N, L]."""
    tensors = [torch.tensor(row) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=-1)
    return ids.clamp_min(0), ids >= 0


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=FILE, show_default=False)
@click.option("--steps", default=STEPS, show_default=True)
@click.option("--seed", default=SEED, show_default=True)
def main(out: Path, steps: int, seed: int) -> None:
    """Run the command."""
    begun = time.monotonic()
    backbone = nano(Options()).freeze(torch.device("cpu"))
    features, tasks = public(backbone, {"drawings": drawings(), "shapes": shapes(), "digits": digits()})
    projector = Projector(features.shape[-1], HIDDEN, backbone.width)
    policy = Policy(backbone, projector, projector.init(torch_stream(seed, "projector")), features)
    losses = train(policy, tasks, steps, seed)
    minutes = (time.monotonic() - begun) / 60
    weights = {PROJECTOR: policy.projected.detach(), **policy.weights.state_dict()}
    del weights["lm_head.weight"]  # tied to the embeddings
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(save({name: tensor.half().contiguous() for name, tensor in weights.items()}))
    record = {
        "command": shlex.join(["python", "build/policy.py", *sys.argv[1:]]),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "torch": torch.__version__,
        "seed": seed,
        "steps": steps,
        "batch": BATCH,
        "lr": LR,
        "noise": NOISE,
        "lazy": LAZY,
        "start_pictures": {name: len(members[0].rows) for name, members in tasks.items()},
        "wall_minutes": round(minutes, 1),
        "loss_first_50": round(fmean(losses[:50]), 4),
        "loss_last_50": round(fmean(losses[-50:]), 4),
    }
    (out.parent / RECORD).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
