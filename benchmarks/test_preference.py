"""A policy step beside TRL's: the same model, questions, group, longest answer and updates. ``make bench``.

TRL's has no image to read: it gets as many tokens of text instead. Both sample, score under the reference,
differentiate and update; the rewards cost nothing.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import count

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from fedbench.jobs import plan_jobs
from fedbench.preference.reward_channel import RewardChannel
from fedbench.preference.step_figures import StepFigures
from fedbench.runner import Runner, choose_device
from fedbench.testing.contracts import created, installed

GROUP = "policy step: 8 questions, 5 answers each"
INSTEAD = " artist"
"""A token of text, for each visual one."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    (job,) = plan_jobs(
        installed(), methods=["gold-reward"], scenarios=["prefs-emoji-tasks"], seeds=[0], options={},
        changes={}, output=tmp_path_factory.mktemp("runs"),
    )  # fmt: skip
    bench = Runner(installed(), choose_device("auto")).bench(job.resolved)
    run = bench.run(created("gold-reward"), 0, "serial")
    run.sources = [bench.gold]
    return bench, run


@pytest.mark.benchmark(group=GROUP)
def test_ours(benchmark, run):
    _, ours = run
    rewards, figures, steps = ours.problem.rewards, StepFigures(), count(1)
    channel = RewardChannel(ours.sources, rewards.images, rewards.fault_model)
    benchmark.pedantic(lambda: figures.add(ours._step(next(steps), channel)), rounds=10, warmup_rounds=3)
    benchmark.extra_info["tokens"] = figures.mean("policy/tokens")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.benchmark(group=GROUP)
def test_trl(benchmark, run, tmp_path):
    bench, spec = run[0], run[1].spec
    answers = spec.queries * spec.group
    tokenizer, visual = bench.loaded.backbone.tokenizer, bench.loaded.features.shape[1]
    prompts = [query.prompt + visual * INSTEAD for query in bench.data.queries]
    ours = bench.view.llm.prompt_ids([query.prompt for query in bench.data.queries])
    assert [len(ids) + visual for ids in ours] == [len(tokenizer(prompt)["input_ids"]) for prompt in prompts]
    said = Dataset.from_dict({"prompt": prompts})
    config = GRPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=answers, num_generations=spec.group,
        max_completion_length=spec.max_tokens, beta=spec.kl_weight, epsilon=spec.clip_low,
        epsilon_high=spec.clip_high, temperature=spec.temperature, learning_rate=spec.lr, seed=0,
        max_steps=10_000, loss_type="grpo", use_cpu=bench.reference.flat.device.type == "cpu", report_to=[],
        save_strategy="no", bf16=False, gradient_checkpointing=False, logging_steps=10_000,
    )  # fmt: skip
    weights = deepcopy(bench.loaded.backbone.llm).requires_grad_(True)
    weights.set_attn_implementation("sdpa")
    trainer = GRPOTrainer(
        weights, lambda completions, **_: [float(len(text) % 2) for text in completions], config, said,
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.create_optimizer_and_scheduler(config.max_steps)
    trainer.current_gradient_accumulation_steps = 1  # train() would set it; steps are taken one by one here
    batches = iter(trainer.get_train_dataloader())
    model = trainer.model

    def step():
        trainer.training_step(model, next(batches), answers)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        trainer.state.global_step += 1

    benchmark.pedantic(step, rounds=10, warmup_rounds=3)
