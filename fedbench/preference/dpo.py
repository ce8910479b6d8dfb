"""Direct preference optimisation on clients: how an exchange of the policy's parameters learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from fedbench.federation.task import Task
from fedbench.models.policy import Policy, Questions
from fedbench.params import ParamSpace

BETA = 0.1
"""DPO's temperature, as its authors and TRL have it."""


@dataclass(frozen=True)
class Replies:
    """An answer each to N questions, as the policy reads them."""

    questions: Questions
    answers: Sequence[Sequence[int]]

    def rows(self, index: Sequence[int]) -> Replies:
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

    ``start`` [P] is the reference; ``sign`` [N] is −1 where the two answers are swapped.
    """

    policy: Policy
    start: Tensor
    chosen: Replies
    rejected: Replies
    sign: Tensor

    @property
    def space(self) -> ParamSpace:
        return self.policy.space

    @property
    def device(self) -> torch.device:
        return self.sign.device

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """[C]; the clients one after another, since an LLM's weights are too many to stack."""
        return torch.stack(
            [self._loss(own, rows[rows >= 0]) for own, rows in zip(params, index, strict=True)]
        )

    def _loss(self, params: Tensor, index: Tensor) -> Tensor:
        if not len(index):  # has ended before the others
            return params.new_zeros(())
        chosen, rejected = self._both(params, index.tolist())
        known = self._reference.to(params)[:, index]
        margin = (chosen - known[0]) - (rejected - known[1])
        return -F.logsigmoid(BETA * self.sign[index] * margin).sum() / len(index)

    def _both(self, params: Tensor, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        """[n] each: the log-probability of the answers."""
        named = self.space.views(params)
        found = []
        for side in (self.chosen.rows(index), self.rejected.rows(index)):
            logp: Tensor = functional_call(self.policy, named, (side.questions, *side.padded()))
            found.append(logp.sum(1))
        return found[0], found[1]

    @cached_property
    def _reference(self) -> Tensor:
        """[2, N]: the same under the start, of every preference."""
        with torch.no_grad():
            parts = torch.arange(len(self.sign)).split(256)
            return torch.cat([torch.stack(self._both(self.start, part.tolist())) for part in parts], dim=1)
