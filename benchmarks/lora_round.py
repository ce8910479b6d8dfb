"""A round of LoRA tuning of the nano LLM: fedbench one client after another, fedbench in one pass, and peft.

::

    python benchmarks/lora_round.py --threads 1

Clients take a few steps each on questions of ``tune-tasks``, of rank 8 on all linears, from one start. peft's
side is what one writes without a framework, at its best: one model whose adapters start anew for each client,
torch's AdamW, the same visual tokens and batches, no mask (padding on the right needs none under causal
attention), logits of the answers only. The sides take turns, each time in a process of their own; a time is
the median of its rounds but the first. A side counts only if its parameters in float64 are peft's within
1e-6.
"""

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
import torch
from result_file import RESULTS, row, write
from torch.nn import functional as F

from fedbench.alignment.task import AlignmentTask
from fedbench.alignment.trainable import Trainable
from fedbench.api.options import Options
from fedbench.api.scenario import Training
from fedbench.data.tokens import TokenTable
from fedbench.federation.executors import Executor, no_rule
from fedbench.federation.local import LocalWork
from fedbench.jobs import plan_jobs
from fedbench.models.language import LanguageModel
from fedbench.models.lora import LoraAdapters
from fedbench.models.projector import Projector
from fedbench.rng import numpy_stream, torch_stream
from fedbench.runner import Runner, choose_device
from fedbench.testing.contracts import installed

SCENARIO, BACKBONE, TOLERANCE = "tune-tasks", "nano-sighted", 1e-6
RAGGED, EQUAL = "ragged texts", "equal lengths"
FIELDS = ("tokens", "begin", "start", "end", "image")
TRAINING = Training(
    trainable="lora", lora={"rank": 8, "alpha": 16.0}, batch_size=16, lr=5e-3, schedule="constant",
    grad_norm=None, weight_decay=0.0,
)  # fmt: skip


def make_workload(path, *, clients, texts, steps):
    """Tokens and image features of ``tune-tasks``, and which examples each client reads."""
    with tempfile.TemporaryDirectory() as output:
        (job,) = plan_jobs(
            installed(), methods=["fedavg"], scenarios=[SCENARIO], seeds=[0], options={}, changes={},
            output=Path(output),
        )  # fmt: skip
        task = Runner(installed(), choose_device("cpu")).bench(job.resolved).task
    lengths = task.table.end.numpy()
    pool = np.arange(len(lengths))
    if texts == EQUAL:
        pool = np.flatnonzero(lengths == np.bincount(lengths).argmax())
    size = steps * TRAINING.batch_size
    again = clients * size > len(pool)
    drawn = numpy_stream(0, "lora round").choice(pool, size=(clients, size), replace=again)
    table = {field: getattr(task.table, field) for field in FIELDS}
    torch.save({"table": table, "features": task.features, "examples": torch.tensor(drawn)}, path)


def workload(path, dtype):
    """The task on a backbone of its own, the clients' start [C, P], and their examples [C, S·B]."""
    held = torch.load(path, weights_only=True)
    backbone = installed().backbones[BACKBONE].create(Options()).freeze(torch.device("cpu"))
    if dtype == torch.float64:
        exact(backbone.llm)
    features = held["features"].to(dtype)
    frozen = backbone.projector.to(dtype)
    connector = Projector.holding(frozen, features.shape[-1], backbone.width)
    adapters = LoraAdapters.of(backbone.llm, TRAINING.lora)
    trainable = Trainable(connector, frozen=frozen, adapters=adapters)
    task = AlignmentTask(LanguageModel(backbone), trainable, features, TokenTable(**held["table"]))
    start = trainable.init(torch_stream(0, "init"))
    return task, start.to(dtype).repeat(len(held["examples"]), 1), held["examples"].numpy()


def exact(llm):
    """Let ``llm`` compute in float64 throughout: its norms and its ends take float32 otherwise."""
    torch.Tensor.float = torch.Tensor.double
    llm.double()
    for path, module in list(llm.named_modules()):
        if type(module).__name__ == "LlamaRMSNorm":
            norm = torch.nn.RMSNorm(module.weight.shape, eps=module.variance_epsilon, dtype=torch.float64)
            norm.weight = module.weight
            owner, _, name = path.rpartition(".")
            setattr(llm.get_submodule(owner), name, norm)


def ours(task, start, examples, chunk):
    """A round of local training in fedbench, ``chunk`` clients in a pass, as a function of nothing."""
    steps = examples.shape[1] // TRAINING.batch_size
    work = [LocalWork(client, own, 0, steps) for client, own in enumerate(examples)]

    def train():
        return Executor("bench", chunk).train(task, start, work, no_rule, TRAINING).params

    return train


def theirs(task, start, examples):
    """The same by peft and plain torch, client after client."""
    import peft

    llm = task.llm.backbone.llm
    llm.set_attn_implementation("sdpa")
    lora = TRAINING.lora
    config = peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear")
    model = peft.get_peft_model(llm, config).to(start.dtype)
    named = {name.replace(".default", ""): value for name, value in model.named_parameters()}
    factors = {name: named[f"base_model.model.{name}"] for name in task.space.shapes}
    embed = llm.get_input_embeddings()

    def loss(index):
        ids, _, answer = task.table.gather(index)
        visual = task.trainable.visual(start, task.features[task.table.image[index]])
        tokens = visual.shape[1]
        hidden = llm.base_model(inputs_embeds=torch.cat([visual, embed(ids)], dim=1), use_cache=False)
        row, place = answer.nonzero(as_tuple=True)
        logits = llm.lm_head(hidden.last_hidden_state[row, place + tokens - 1])
        return F.cross_entropy(logits, ids[row, place])

    def trained(client, own):
        with torch.no_grad():
            for name, value in task.space.views(start[client]).items():
                factors[name].copy_(value)
        optimizer = torch.optim.AdamW(
            factors.values(), lr=TRAINING.lr, betas=TRAINING.betas, weight_decay=TRAINING.weight_decay
        )
        for index in torch.from_numpy(own).split(TRAINING.batch_size):
            optimizer.zero_grad()
            loss(index).backward()
            optimizer.step()
        return task.space.flatten({name: each.detach() for name, each in factors.items()}, start.dtype)

    return lambda: torch.stack([trained(client, own) for client, own in enumerate(examples)])


SIDES = {
    "peft models in a loop": theirs,
    "fedbench, serial": lambda *given: ours(*given, chunk=1),
    "fedbench, one pass": lambda *given: ours(*given, chunk=len(given[1])),
}
"""By name, what makes a side's round of a task, a start and examples."""


def side(asked):
    """Run one side: seconds of each round, the process's peak memory and what training added; parameters."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked.threads)
    train = SIDES[asked.side](*workload(asked.workload, getattr(torch, asked.dtype)))
    held, seconds = psutil.Process().memory_info().rss, []
    for _ in range(1 + asked.rounds):
        began = time.perf_counter()
        params = train()
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    np.save(asked.workload.with_suffix(".npy"), params.double().numpy())
    print(json.dumps({"seconds": seconds[1:], "peak_bytes": peak, "training_bytes": peak - held}))


def measured(name, path, *, dtype, threads, rounds):
    """Run a side in a process of its own: what it says, and its parameters [C, P]."""
    command = [sys.executable, __file__, "--side", name, "--workload", str(path), "--dtype", dtype]
    command += ["--threads", str(threads), "--rounds", str(rounds)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1]), np.load(path.with_suffix(".npy"))


def rows_of(clients, texts, asked, path):
    """Measure all sides in one setting."""
    make_workload(path, clients=clients, texts=texts, steps=asked.steps)
    ends, group = {}, f"{clients} client{'s' * (clients > 1)}, {texts}"
    for name in SIDES:
        _, ends[name] = measured(name, path, dtype="float64", threads=asked.threads, rounds=0)
    truth = ends["peft models in a loop"]
    apart = {name: float(np.abs(params - truth).max()) for name, params in ends.items()}
    said = {name: [] for name in SIDES}
    for repeat in range(asked.repeats):
        for name in SIDES:
            one, _ = measured(name, path, dtype="float32", threads=asked.threads, rounds=asked.rounds)
            said[name].append(one)
            print(
                f"{group}, {repeat + 1}/{asked.repeats} {name}: {statistics.median(one['seconds']):.3f} s, "
                f"{apart[name]:.1e} from peft in float64",
                flush=True,
            )
    for name, runs in said.items():
        counts = "yes" if apart[name] <= TOLERANCE else "no"
        yield row(group, name, [statistics.median(run["seconds"]) for run in runs], "s", counts=counts)
        yield row(group, name, [run["peak_bytes"] / 1e6 for run in runs], "MB")
        yield row(group, name, [run["training_bytes"] / 1e6 for run in runs], "training's own memory, MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="of every side")
    parser.add_argument("--repeats", type=int, default=5, help="processes of each side")
    parser.add_argument("--rounds", type=int, default=3, help="of a process, after one that warms up")
    parser.add_argument("--steps", type=int, default=4, help="of each client in a round")
    parser.add_argument("--ragged", type=int, nargs="*", default=[1, 5, 20], help="clients with ragged texts")
    parser.add_argument("--equal", type=int, nargs="*", default=[20], help="clients with texts of one length")
    parser.add_argument("--out", type=Path, default=RESULTS / "lora-round.json")
    # of a side's own process
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--workload", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="float32", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        side(asked)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            each
            for texts, numbers in ((RAGGED, asked.ragged), (EQUAL, asked.equal))
            for clients in numbers
            for each in rows_of(clients, texts, asked, Path(folder) / "workload.pt")
        ]
    threads = f"{asked.threads} thread{'s' * (asked.threads > 1)}"
    what = (
        f"A round of LoRA tuning. Adapters of rank 8 on all linears of the nano LLM, {asked.steps} steps of "
        f"{TRAINING.batch_size} questions a client, AdamW, {threads}. "
        "A side counts if its parameters in float64 are those of peft's loop within 1e-6."
    )
    write(asked.out, what, shlex.join(["python", "benchmarks/lora_round.py", *sys.argv[1:]]), rows)


if __name__ == "__main__":
    main()
