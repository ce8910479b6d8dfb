"""GRPO: group-relative policy optimisation with a KL to the frozen reference.

Shao et al. 2024 (arXiv 2402.03300), with two clipping bounds (DAPO, arXiv 2503.14476) and the low-variance KL
estimator e^d − d − 1, d = log π_ref − log π. What MoR (arXiv 2605.03426) aligns with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Terms:
    """``loss`` is what is minimised; ``kl`` and ``clipped`` are means over answer tokens, for the log."""

    loss: Tensor
    kl: Tensor
    clipped: Tensor


def advantages(rewards: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Â = (r − mean) / (std + ε) within each group; rewards [Q, G] to [Q, G]. Equal rewards give zeros.

    The standard deviation is the sample's (n − 1). A reward that is not finite never came: its advantage is
    zero, and the group's mean and deviation are those of the others.
    """
    known = rewards.isfinite()
    count = known.sum(1, keepdim=True)
    values = torch.where(known, rewards, 0.0)
    mean = values.sum(1, keepdim=True) / count.clamp_min(1)
    centred = torch.where(known, rewards - mean, 0.0)
    deviation = (centred.square().sum(1, keepdim=True) / (count - 1).clamp_min(1)).sqrt()
    return centred / (deviation + epsilon)


def grpo_terms(
    logp: Tensor,
    old: Tensor,
    reference: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    kl_weight: float,
) -> Terms:
    """−min(ρÂ, clip(ρ)Â) + β·KL of N answers: the mean over each answer's tokens, then over answers.

    ``logp``, ``old``, ``reference`` [N, L]: the tokens' log-probabilities under the policy, the policy that
    sampled them and the reference. ``advantage`` [N]; ``mask`` [N, L] is 1 on answer tokens.
    """
    ratio = (logp - old).exp()
    gain = torch.min(
        ratio * advantage[:, None], ratio.clamp(1 - clip_low, 1 + clip_high) * advantage[:, None]
    )
    distance = reference - logp
    kl = distance.exp() - distance - 1
    weight = mask.to(logp.dtype)
    per_answer = ((kl_weight * kl - gain) * weight).sum(1) / weight.sum(1).clamp_min(1)
    tokens = weight.sum().clamp_min(1)
    outside = (ratio < 1 - clip_low) & (advantage[:, None] < 0) | (ratio > 1 + clip_high) & (
        advantage[:, None] > 0
    )
    return Terms(per_answer.mean(), (kl.detach() * weight).sum() / tokens, (outside * weight).sum() / tokens)
