"""Optimisers along the client axis: every client has its own step count, rate and clipping."""

from __future__ import annotations

from math import ceil, cos, pi

import torch
from torch import Tensor

from fedbench.api.scenario import Training


def clip_per_client(grads: Tensor, limit: float) -> Tensor:
    """Scale each row of ``[C, P]`` to a norm of at most ``limit``."""
    norms = grads.norm(dim=1, keepdim=True)
    scale: Tensor = limit / norms.clamp_min(limit)
    return grads * scale


def rate(training: Training, step: int, steps: int) -> float:
    """The learning rate of step ``step`` of ``steps``: linear warm-up, then cosine to zero.

    The first step already moves: with the few steps of a round, a rate of 0 would waste one of them.
    """
    if training.schedule == "constant":
        return training.lr
    warm = ceil(training.warmup * steps)
    if step < warm:
        return training.lr * (step + 1) / warm
    return training.lr * 0.5 * (1 + cos(pi * (step - warm) / max(1, steps - warm)))


class LocalOptimizer:
    """AdamW (Loshchilov & Hutter 2019) or SGD on ``[C, P]``, with fresh moments each round."""

    def __init__(self, training: Training, params: Tensor) -> None:
        self.training = training
        if training.optimizer == "adamw":
            self.first, self.second = torch.zeros_like(params), torch.zeros_like(params)
        self.steps = 0

    def step(self, params: Tensor, grads: Tensor, rates: Tensor) -> Tensor:
        """The parameters after one step at ``rates`` [C, 1] or [C, P]; a rate of 0 changes nothing."""
        t = self.training
        if t.optimizer == "sgd":
            return params - rates * (grads + t.weight_decay * params)
        self.steps += 1
        beta1, beta2 = t.betas
        self.first.lerp_(grads, 1 - beta1)
        self.second.mul_(beta2).addcmul_(grads, grads, value=1 - beta2)
        corrected = (self.second / (1 - beta2**self.steps)).sqrt_().add_(1e-8)
        direction = (self.first / (1 - beta1**self.steps)).div_(corrected)
        return params - rates * (direction + t.weight_decay * params)
