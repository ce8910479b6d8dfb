"""A policy in training: it samples answers and is updated by GRPO against a frozen reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fedbench.api.aggregator import State
from fedbench.api.scenario import PolicyTraining
from fedbench.models.policy import Answers, Policy, Questions
from fedbench.preference.grpo import Terms, advantages, grpo_terms

MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What AdamW keeps of the policy's one vector."""


@dataclass(frozen=True)
class GRPOBatch:
    """A group of answers to each of Q questions, and what GRPO needs of them besides the policy.

    ``advantage`` [N]; ``reference`` [N, L]: log-probabilities of the answers' tokens under the reference.
    """

    questions: Questions
    answers: Answers
    advantage: Tensor
    reference: Tensor


@dataclass(frozen=True)
class PolicyUpdate:
    """A finished update: the loss's terms before it and in its last optimiser step; ``old`` [N, L] are the
    log-probabilities that the ratio is taken to."""

    batch: GRPOBatch
    old: Tensor
    before: Terms
    last: Terms


class PolicyTrainer:
    """Trains ``policy`` in place, as one vector with AdamW; ``reference`` stays as it is."""

    def __init__(self, policy: Policy, reference: Policy, spec: PolicyTraining) -> None:
        self.policy, self.reference, self.spec = policy, reference, spec
        self._flat = nn.Parameter(policy.flat)
        self._optimizer = torch.optim.AdamW([self._flat], lr=spec.lr, weight_decay=spec.weight_decay)

    @property
    def state(self) -> dict[str, Tensor]:
        """The policy's parameters and the optimiser's moments, by name."""
        kept = self._optimizer.state.get(self._flat, {})
        return {"policy": self.policy.flat, **{name: kept[name] for name in MOMENTS if name in kept}}

    def restore(self, state: State) -> None:
        """Go on from what :attr:`state` was."""
        self.policy.load(state["policy"])
        if "exp_avg" in state:
            moments = {name: state[name].clone() for name in MOMENTS}
            moments["step"] = moments["step"].cpu()  # where AdamW keeps it on every device
            self._optimizer.state[self._flat] = moments

    def sample(self, questions: Questions, stream: torch.Generator) -> Answers:
        """Sample a group of answers to each question."""
        return self.policy.sample(
            questions,
            self.spec.group,
            limit=self.spec.max_tokens,
            temperature=self.spec.temperature,
            stream=stream,
        )

    def likeliest(self, questions: Questions) -> Answers:
        """The likeliest answer to each question, token by token."""
        return self.policy.sample(questions, 1, limit=self.spec.max_tokens, temperature=0.0, stream=None)

    def update(self, questions: Questions, answers: Answers, rewards: Tensor) -> PolicyUpdate:
        """Update the policy on sampled answers and their rewards [N], NaN for one without."""
        spec = self.spec
        advantage = advantages(rewards.view(-1, spec.group)).flatten().to(answers.ids.device)
        with torch.no_grad():
            reference = self.reference.logp(questions, answers.ids, answers.mask, spec.temperature)
        batch = GRPOBatch(questions=questions, answers=answers, advantage=advantage, reference=reference)
        old: Tensor | None = None
        steps: list[Terms] = []
        for _ in range(spec.updates):
            logp = self._logp(batch)
            old = logp.detach() if old is None else old
            terms = self._terms(batch, logp, old)
            terms.loss.backward()
            self._descend()
            steps.append(replace(terms, loss=terms.loss.detach()))
        assert old is not None
        return PolicyUpdate(batch=batch, old=old, before=steps[0], last=steps[-1])

    @torch.no_grad()
    def objective(self, update: PolicyUpdate) -> tuple[float, float]:
        """GRPO's J before the update and under the policy as it is now, on the same answers."""
        now = self._terms(update.batch, self._logp(update.batch), update.old)
        return float(-update.before.loss), float(-now.loss)

    def _logp(self, batch: GRPOBatch) -> Tensor:
        answers = batch.answers
        return self.policy.logp(batch.questions, answers.ids, answers.mask, self.spec.temperature)

    def _terms(self, batch: GRPOBatch, logp: Tensor, old: Tensor) -> Terms:
        spec = self.spec
        return grpo_terms(
            logp,
            old,
            batch.reference,
            batch.advantage,
            batch.answers.mask,
            clip_low=spec.clip_low,
            clip_high=spec.clip_high,
            kl_weight=spec.kl_weight,
        )

    def _descend(self) -> None:
        """One optimiser step along the accumulated gradient."""
        self._flat.grad = self.policy.gradient()
        if self.spec.grad_norm is not None:
            nn.utils.clip_grad_norm_([self._flat], self.spec.grad_norm)
        self._optimizer.step()
