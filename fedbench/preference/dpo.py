"""Direct preference optimisation on clients: the policy's parameters travel, by any aggregator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from fedbench.api.aggregator import Shards
from fedbench.api.scenario import Scenario, Training
from fedbench.errors import UsageError
from fedbench.evaluation.evaluator import Evaluator
from fedbench.federation.task import Task
from fedbench.models.policy import Policy, Questions
from fedbench.params import ParamSpace

BETA = 0.1
"""DPO's temperature, as its authors and TRL have it."""


@dataclass(frozen=True)
class Replies:
    """N questions and the token ids of an answer each, as the policy reads them."""

    questions: Questions
    answers: Sequence[Sequence[int]]

    def rows(self, index: Sequence[int]) -> Replies:
        """The replies at ``index``."""
        images, prompts = self.questions.images[list(index)], [self.questions.prompts[i] for i in index]
        return Replies(Questions(images, prompts), [self.answers[i] for i in index])

    def padded(self) -> tuple[Tensor, Tensor]:
        """Token ids [N, L] of the answers and which of them are real."""
        rows = [torch.tensor(row) for row in self.answers]
        ids = pad_sequence(rows, batch_first=True, padding_value=-1).to(self.questions.images.device)
        return ids.clamp_min(0), ids >= 0


@dataclass(frozen=True)
class DPOTask(Task):
    """−log σ(β (Δ(y⁺) − Δ(y⁻))), Δ = log π − log π_ref (Rafailov et al. 2023, arXiv 2305.18290, eq. 7).

    ``reference``: π_ref; ``chosen`` and ``rejected``: all clients' N preferences; ``sign`` [N]: −1 where a
    preference is the wrong way round.
    """

    reference: Policy
    chosen: Replies
    rejected: Replies
    sign: Tensor

    @property
    def space(self) -> ParamSpace:
        """The policy's parameters."""
        return self.reference.space

    @property
    def device(self) -> torch.device:
        """Where the policy computes."""
        return self.sign.device

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """Each client's mean loss [C], one client after another: an LLM's weights are too many to stack."""
        return torch.stack(
            [self._loss(own, rows[rows >= 0]) for own, rows in zip(params, index, strict=True)]
        )

    def _loss(self, params: Tensor, index: Tensor) -> Tensor:
        if not len(index):  # this client has fewer batches than the others
            return params.new_zeros(())
        chosen, rejected = self._logp(params, index.tolist())
        reference_chosen, reference_rejected = self._reference_logp.to(params)[:, index]
        margin = (chosen - reference_chosen) - (rejected - reference_rejected)
        return -F.logsigmoid(BETA * self.sign[index] * margin).sum() / len(index)

    def _logp(self, params: Tensor, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        """log π [n] of the chosen answers and of the rejected under parameters [P]."""
        named = self.space.views(params)
        sums = []
        for side in (self.chosen.rows(index), self.rejected.rows(index)):
            logp: Tensor = functional_call(self.reference, named, (side.questions, *side.padded()))
            sums.append(logp.sum(1))
        return sums[0], sums[1]

    @cached_property
    def _reference_logp(self) -> Tensor:
        """log π_ref of every preference's answers, [2, N]."""
        with torch.no_grad():
            parts = torch.arange(len(self.sign)).split(256)
            flat = self.reference.flat
            return torch.cat([torch.stack(self._logp(flat, part.tolist())) for part in parts], dim=1)


@dataclass(frozen=True)
class DPOProblem:
    """An aggregator trains the policy on the clients' preferences by DPO (a
    :class:`fedbench.runs.aggregation.AggregationProblem`).

    ``shards[k]``: client k's preferences, in as many passes as its reward model would get. The policy starts
    as ``task.reference``, and its final answers are compared with the reference's.
    """

    scenario: Scenario
    task: DPOTask
    shards: Shards
    evaluator: Evaluator
    label_flip_offset = 0

    @property
    def baseline_params(self) -> Tensor:
        """The policy's parameters [P] at the start."""
        return self.task.reference.flat

    def save(self, models: Tensor, folder: Path) -> None:
        """Refuse: policies are not saved yet."""
        raise UsageError("a policy can't be saved", why="only the alignment track's models are")

    def init(self, seed: int) -> Tensor:
        """The policy's parameters [P] at the start, whatever the seed."""
        return self.task.reference.flat

    @property
    def training(self) -> Training:
        """Batches as the clients' reward models have them, the optimiser as GRPO has it."""
        policy = self.scenario.policy
        assert policy
        return Training(
            batch_size=self.scenario.training.batch_size,
            lr=policy.lr,
            weight_decay=policy.weight_decay,
            grad_norm=policy.grad_norm,
            schedule="constant",
        )
