"""A policy step beside TRL's, part by part: the same model, questions, group, tokens and updates.

::

    OMP_NUM_THREADS=1 python benchmarks/grpo_step.py --repeats 9
    OMP_NUM_THREADS=1 python benchmarks/grpo_step.py --tokens 3

Steps are taken in turn, in one process; medians in milliseconds. TRL's has no image to read: it gets as many
tokens of text instead, and its answers are made as long as ours of the same step, so that both sample, score
and learn from as many tokens. With ``--tokens`` every answer has so many. Rewards cost nothing. ``--cpu``:
processor time of the one thread, which other processes disturb less.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import partial, wraps
from itertools import count
from pathlib import Path
from unittest.mock import patch

import torch
from datasets import Dataset
from transformers import LogitsProcessor, LogitsProcessorList
from trl import GRPOConfig, GRPOTrainer

from fedbench.jobs import plan_jobs
from fedbench.models.language import LanguageModel
from fedbench.preference.reward_channel import RewardChannel
from fedbench.runner import Runner, choose_device
from fedbench.testing.contracts import created, installed

INSTEAD = " artist"
"""A token of text, for each visual one."""
UNUSED = 3
"""A token id that no answer has, for an eos that never comes."""
WARM_UP = 3
PARTS = ("sample", "reward", "reference", "forward", "backward", "optimiser")


class Clock:
    """Milliseconds of a step's parts; ``rest`` is what none of them took."""

    def __init__(self, now=time.perf_counter):
        self.now, self.steps = now, []

    @contextmanager
    def step(self):
        self.part = defaultdict(float)
        timed_backward = self.timed("backward", torch.Tensor.backward)
        with patch.object(torch.Tensor, "backward", timed_backward):
            begin = self.now()
            yield
            total = 1000 * (self.now() - begin)
        self.steps.append({**self.part, "rest": total - sum(self.part.values()), "whole": total})

    def timed(self, part, function):
        @wraps(function)
        def inner(*args, **kwargs):
            begin = self.now()
            try:
                return function(*args, **kwargs)
            finally:
                self.part[part] += 1000 * (self.now() - begin)

        return inner

    def median(self, part):
        return statistics.median(step.get(part, 0.0) for step in self.steps)


def bench_and_run(output):
    (job,) = plan_jobs(
        installed(), methods=["gold-reward"], scenarios=["prefs-emoji-tasks"], seeds=[0], options={},
        changes={}, output=output,
    )  # fmt: skip
    bench = Runner(installed(), choose_device("auto")).bench(job.resolved)
    run = bench.run(created("gold-reward"), 0, "serial")
    run.sources = [bench.gold]
    return bench, run


def ours(run):
    """Our step, as a function of nothing; it returns the lengths of the sampled answers."""
    rewards, steps, sampled = run.problem.rewards, count(1), []
    channel = RewardChannel(run.sources, rewards.images, rewards.fault_model)
    sample = run.trainer.sample

    def watched(questions, stream):
        answers = sample(questions, stream)
        sampled.append(answers.mask.sum(1).tolist())
        return answers

    run.trainer.sample = watched

    def step():
        run._step(next(steps), channel)
        return sampled[-1]

    return step


class Lengths(LogitsProcessor):
    """Lets each answer end where it is to end, and nowhere else."""

    def __init__(self, eos):
        self.eos, self.prompt, self.lengths = eos, None, []

    def __call__(self, input_ids, scores):
        self.prompt = input_ids.shape[1] if self.prompt is None else self.prompt
        position = input_ids.shape[1] - self.prompt
        last = torch.tensor(self.lengths) == position + 1
        eos = scores[:, self.eos].clone()
        scores[last] = -torch.inf
        scores[:, self.eos] = torch.where(last, eos, -torch.inf)
        return scores


def trl(bench, run, output):
    """TRL's trainer, and its step as a function of how long the answers are to be."""
    spec, answers = run.spec, run.answers_per_step
    tokenizer, visual = bench.loaded.backbone.tokenizer, bench.loaded.features.shape[1]
    prompts = [query.prompt + visual * INSTEAD for query in bench.data.queries]
    asked = bench.view.llm.prompt_ids([query.prompt for query in bench.data.queries])
    assert [len(ids) + visual for ids in asked] == [len(tokenizer(prompt)["input_ids"]) for prompt in prompts]
    config = GRPOConfig(
        output_dir=str(output), per_device_train_batch_size=answers, num_generations=spec.group,
        max_completion_length=spec.max_tokens, beta=spec.kl_weight, epsilon=spec.clip_low,
        epsilon_high=spec.clip_high, temperature=spec.temperature, learning_rate=spec.lr, seed=0,
        num_iterations=spec.updates, weight_decay=spec.weight_decay, max_steps=10_000, loss_type="grpo",
        use_cpu=bench.reference.flat.device.type == "cpu", report_to=[], save_strategy="no", bf16=False,
        gradient_checkpointing=False, logging_steps=10_000,
    )  # fmt: skip
    weights = deepcopy(bench.loaded.backbone.llm).requires_grad_(True)
    weights.set_attn_implementation("sdpa")
    sampled = []

    def reward(completions, completion_ids, **_):
        sampled.append(sum(map(len, completion_ids)))
        return [float(len(text) % 2) for text in completions]

    said = Dataset.from_dict({"prompt": prompts})
    trainer = GRPOTrainer(weights, reward, config, said, processing_class=tokenizer)
    trainer.create_optimizer_and_scheduler(config.max_steps)
    trainer.current_gradient_accumulation_steps = 1  # train() would set it; steps are taken one by one here
    batches = iter(trainer.get_train_dataloader())

    def descend():
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), spec.grad_norm)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()

    trainer.descend = descend

    forced, generate = Lengths(tokenizer.eos_token_id), trainer.model.generate
    trainer.model.generate = partial(generate, logits_processor=LogitsProcessorList([forced]))

    def step(lengths):
        forced.prompt, forced.lengths = None, lengths
        trainer.training_step(trainer.model, next(batches), answers)
        trainer.descend()
        trainer.state.global_step += 1
        assert sampled[-1] == sum(lengths), "TRL's step is of other tokens"

    return trainer, step


def watch_ours(clock, run):
    trainer = run.trainer
    trainer.sample = clock.timed("sample", trainer.sample)
    run._query = clock.timed("reward", run._query)
    trainer.reference.logp = clock.timed("reference", trainer.reference.logp)
    trainer._logp = clock.timed("forward", trainer._logp)
    trainer._terms = clock.timed("forward", trainer._terms)
    trainer._descend = clock.timed("optimiser", trainer._descend)


def watch_trl(clock, trainer):
    trainer._generate = clock.timed("sample", trainer._generate)
    trainer._calculate_rewards = clock.timed("reward", trainer._calculate_rewards)
    logps = trainer._get_per_token_logps_and_entropies

    def scored(model, *args, **kwargs):
        part = "reference" if model is trainer.ref_model else None
        return clock.timed(part, logps)(model, *args, **kwargs) if part else logps(model, *args, **kwargs)

    trainer._get_per_token_logps_and_entropies = scored
    trainer.compute_loss = clock.timed("forward", trainer.compute_loss)
    trainer.descend = clock.timed("optimiser", trainer.descend)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--tokens", type=int, help="of every answer")
    parser.add_argument("--cpu", action="store_true", help="processor time of the one thread")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    now = time.thread_time if asked.cpu else time.perf_counter
    clocks, lengths = {"fedbench": Clock(now), "TRL": Clock(now)}, []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as patches:
        bench, run = bench_and_run(Path(folder))
        if asked.tokens:
            run.spec = run.trainer.spec = run.spec.model_copy(update={"max_tokens": asked.tokens})
            patches.enter_context(patch.object(LanguageModel, "eos", UNUSED))
        trainer, theirs = trl(bench, run, folder)
        watch_ours(clocks["fedbench"], run)
        watch_trl(clocks["TRL"], trainer)
        step = ours(run)
        for _ in range(WARM_UP + asked.repeats):
            with clocks["fedbench"].step():
                lengths.append(step())
            with clocks["TRL"].step():
                theirs(lengths[-1])
    for clock in clocks.values():
        del clock.steps[:WARM_UP]
    print_table(clocks, lengths[WARM_UP:])


def print_table(clocks, lengths):
    print(f"{'ms':10s}" + "".join(f"{name:>10s}" for name in clocks))
    for part in (*PARTS, "rest", "whole"):
        print(f"{part:10s}" + "".join(f"{clock.median(part):10.1f}" for clock in clocks.values()))
    ratios = [
        theirs["whole"] / ours["whole"]
        for ours, theirs in zip(*(clock.steps for clock in clocks.values()), strict=True)
    ]
    tokens, longest = (statistics.mean(map(of, lengths)) for of in (sum, max))
    print(
        f"{torch.get_num_threads()} threads; {tokens:.0f} tokens a step, {longest:.1f} in the longest answer"
    )
    print(f"TRL / fedbench: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
