"""Pre-train the projector of ``nano-sighted`` on captions of public pictures; the LLM stays as it is.

    OMP_NUM_THREADS=1 python build/projector.py

Only pictures of the pool "public" are seen, which no client, validation or test has.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import click
import torch
from fedbench_emoji import texts
from fedbench_emoji.backbone import nano
from fedbench_emoji.views import augmented
from fedbench_tuning.backbone import FILE, PROJECTOR
from fedbench_tuning.pictures import Picture, pictures
from safetensors.torch import save
from torch import Tensor
from tqdm import trange
from transformers import get_linear_schedule_with_warmup

from fedbench import Backbone, Options, Policy, Projector, Questions, derive, torch_stream

SEED = 20261129
STEPS = 250
RECORD = "training.json"
HIDDEN = 256
"""The projector's hidden width."""
BATCH = 64
LR = 2e-3
WARMUP = 30
VIEWS = 4
"""Augmented views of a drawing: drawings are few."""
SHAPES = 0.3
"""Share of the training examples that are coloured shapes; the others are drawings."""
SAID = {"name": 0.4, "keywords": 0.4, "artist": 0.2}
"""Shares of what a drawing's caption says; a shape's says its colour and shape."""
ARTIST = "which artist?"


def public(backbone: Backbone) -> tuple[Tensor, dict[str, list[tuple[Picture, range]]]]:
    """Encode the public pictures: features [N, T, F], and by source each picture with its rows of them."""
    listed, images = pictures()
    features: list[Tensor] = []
    rows: dict[str, list[tuple[Picture, range]]] = {"drawing": [], "shape": []}
    count = 0
    for number, picture in enumerate(listed):
        if picture.pool == "public":
            views = [images[number]]
            for view in range(1, VIEWS) if picture.source == "drawing" else ():
                rng = random.Random(derive(SEED, "view", picture.digest, view))
                views.append(augmented(images[number], rng))
            features.append(backbone.encode(views))
            rows[picture.source].append((picture, range(count, count + len(views))))
            count += len(views)
    return torch.cat(features), rows


def caption(picture: Picture, rng: random.Random) -> tuple[str, str]:
    """Draw a question that a caption answers, and the caption."""
    if picture.source == "shape":
        return texts.NAME, picture.concept
    said = rng.choices(list(SAID), list(SAID.values()))[0]
    if said == "artist":
        return ARTIST, picture.artist
    words = rng.sample(picture.keywords, min(texts.MAX_KEYWORDS, len(picture.keywords)))
    if said == "keywords" and words:
        return texts.KEYWORDS, ", ".join(words)
    return texts.NAME, picture.facts["name"]


def batches(rows: dict[str, list[tuple[Picture, range]]], seed: int) -> Iterator[list[tuple[int, str, str]]]:
    """Draw batches of (row of the features, question, caption) without end."""
    rng = random.Random(seed)
    while True:
        chosen = [rng.choice(rows["shape" if rng.random() < SHAPES else "drawing"]) for _ in range(BATCH)]
        yield [(rng.choice(views), *caption(picture, rng)) for picture, views in chosen]


def train(policy: Policy, stream: Iterator[list[tuple[int, str, str]]], steps: int) -> list[float]:
    """Train the projector; return the mean loss per answer token of each step."""
    policy.weights.requires_grad_(False)
    optimizer = torch.optim.AdamW([policy.projected], lr=LR, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, WARMUP, steps)
    losses = []
    bar = trange(steps, file=sys.stderr, mininterval=5)
    for _ in bar:
        rows, prompts, answers = zip(*next(stream), strict=True)
        questions = Questions(torch.tensor(rows), policy.llm.prompt_ids(prompts))
        ids, mask = padded(policy.llm.answer_ids(answers))
        loss = -policy.logp(questions, ids, mask).sum() / mask.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([policy.projected], 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        bar.set_postfix(loss=f"{loss.item():.3f}")
    return losses


def padded(rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
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
    backbone = nano(Options()).freeze(torch.device("cpu"))
    features, rows = public(backbone)
    projector = Projector(features.shape[-1], HIDDEN, backbone.width)
    policy = Policy(backbone, projector, projector.init(torch_stream(seed, "projector")), features)
    losses = train(policy, batches(rows, seed), steps)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(save({PROJECTOR: policy.projected.detach().half().contiguous()}))
    record = {
        "command": shlex.join(["python", "build/projector.py", *sys.argv[1:]]),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "torch": torch.__version__,
        "seed": seed,
        "steps": steps,
        "batch": BATCH,
        "lr": LR,
        "public_pictures": {source: len(members) for source, members in rows.items()},
        "loss_first_50": round(fmean(losses[:50]), 4),
        "loss_last_50": round(fmean(losses[-50:]), 4),
    }
    (out.parent / RECORD).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
