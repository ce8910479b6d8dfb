"""What every side of a comparison is given, and what it gives back. Needs torch and numpy only.

A workload is a folder: ``inputs.npy`` and ``targets.npy``, the examples; ``start.npy``, the first parameters
[P]; ``plan.json``: by round, each client of the cohort and its examples in the order in which it reads them.
All clients take as many steps of plain SGD as they have batches; the server averages by examples.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn


def network():
    """A convolutional network of 62,006 parameters (LeNet-5 on three channels)."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """A workload as one side reads it, in ``dtype``."""

    folder: Path
    dtype: torch.dtype

    @cached_property
    def plan(self):
        """``clients``, ``batch_size``, ``lr``, ``seed`` and ``rounds``: lists of [client, examples]."""
        return json.loads((self.folder / "plan.json").read_text())

    @cached_property
    def work(self):
        """By (round from 0, client), the examples."""
        return {
            (number, client): torch.tensor(examples)
            for number, cohort in enumerate(self.plan["rounds"])
            for client, examples in cohort
        }

    @cached_property
    def inputs(self):
        """[N, ...]."""
        return torch.from_numpy(np.load(self.folder / "inputs.npy")).to(self.dtype)

    @cached_property
    def targets(self):
        """[N]."""
        return torch.from_numpy(np.load(self.folder / "targets.npy"))

    @cached_property
    def start(self):
        """[P]."""
        return torch.from_numpy(np.load(self.folder / "start.npy")).to(self.dtype)

    def batches(self, number, client):
        """The client's batches in round ``number`` (from 0): inputs and targets."""
        for index in self.work[number, client].split(self.plan["batch_size"]):
            yield self.inputs[index], self.targets[index]


def load(model, flat):
    """Copy parameters [P] into a module."""
    nn.utils.vector_to_parameters(flat.clone(), model.parameters())  # which keep views of what they are given
    return model


def train(workload, model, number, client):
    """Train ``model`` on the client's batches as any PyTorch user would."""
    optimizer = torch.optim.SGD(model.parameters(), lr=workload.plan["lr"])
    for inputs, targets in workload.batches(number, client):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()


def asked():
    """Read the command line of a side: the workload, its processes, and where the parameters go."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--how", default="", help="a choice of the side's own")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    workload = Workload(options.folder, getattr(torch, options.dtype))
    rounds = options.rounds or len(workload.plan["rounds"])
    return workload, rounds, options


def report(options, seconds, params):
    """Leave the parameters [P] and each round's seconds."""
    np.save(options.out.with_suffix(".npy"), params.detach().double().numpy())
    options.out.write_text(
        json.dumps({"seconds": seconds, "torch": torch.__version__, "python": sys.version})
    )
