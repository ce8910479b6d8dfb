"""MoR — "Replacing Parameters with Preferences", arXiv 2605.03426, §3.2–3.4: a mixture of rewards with a
learned router. For answer y to question x and its router features h = pool(g_φ(x, y)):

    z = W h + b                                     the router's scores, one a client     router.py
    min_φ Σ_k Σ_(x,y)∈D_k BCE(z, e_k)               fitted by FedAvg (eq. 4)
    k = argmax_j r̃_j,  r̃_j ~ N(σ(z_j), ν² σ²_j)     Thompson sampling on the head         thompson.py
    r = R̄_k(x, y) = (R_k(x, y) − μ_k) / σ_k         only client k is queried

After a step the head learns whether the step was a good one. The README says where the paper is silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fedbench import (
    ParamSpace,
    PolicyStepFeedback,
    ResponseBatch,
    RewardFederation,
    RewardFuser,
    RewardSource,
    State,
)
from fedbench_mor import thompson
from fedbench_mor.options import MoROptions
from fedbench_mor.router import Router, cross_entropy, one_hot_bce

LOSSES = {"bce": one_hot_bce, "ce": cross_entropy}


class MoR(RewardFuser):
    """A reward fuser whose router chooses, for each answer, the client to query.

    State: ``router`` [P] and its ``sizes`` (F, D, K); for Thompson sampling also the head's arms
    (:data:`.thompson.Arms`), ``average``, the moving average of the quantity by which a step is good, and
    ``informative`` [2]: the steps in which that quantity moved, and those of them that were good.
    """

    def __init__(self, options: MoROptions) -> None:
        self.options = options

    def sources(self, federation: RewardFederation) -> Sequence[RewardSource]:
        return federation.client_models if self.options.normalise else federation.uncalibrated_models

    def fit(self, federation: RewardFederation) -> State:
        """Train the router, each client on its own answers, labelled with itself (eq. 4)."""
        o = self.options
        sizes = (*federation.widths, len(federation.client_models))
        params = federation.train_router(
            self._module(sizes),
            LOSSES[o.loss],
            rounds=o.rounds,
            steps=o.steps,
            batch_size=o.batch_size,
            lr=o.lr,
        )
        state: dict[str, Tensor] = {"router": params, "sizes": torch.tensor(sizes)}
        if o.routing == "thompson":
            head = self._router(state).head
            state |= thompson.first(head.weight.detach(), head.bias.detach(), o.lam)
            state |= {"average": torch.full((), torch.nan), "informative": torch.zeros(2)}
        return state

    def route(
        self, state: State, responses: ResponseBatch, num_sources: int, stream: torch.Generator
    ) -> Tensor:
        """Weights [N, K]: one-hot for one client, or shares of several."""
        o = self.options
        if o.routing == "thompson":
            arm = thompson.chosen(state, self._features(state, responses), o.nu, o.lam, stream)
            return F.one_hot(arm, num_sources).float()
        shares = self.scores(state, responses).softmax(-1)
        if o.routing == "soft":
            return shares
        queried = min(o.k, num_sources) if o.routing == "topk" else 1
        kept = torch.zeros_like(shares).scatter(1, shares.topk(queried, dim=1).indices, 1.0)
        if o.routing == "top1":
            return kept
        return shares * kept / (shares * kept).sum(1, keepdim=True)

    def fuse(self, state: State, rewards: Tensor, weights: Tensor) -> Tensor:
        bound = self.options.clip
        return super().fuse(state, rewards if bound is None else rewards.clamp(-bound, bound), weights)

    def feedback(self, state: State, step: PolicyStepFeedback) -> State:
        """Update the arms by what was queried, and the head by whether the step was a good one."""
        o = self.options
        if o.routing != "thompson" or not step.fused.isfinite().any():
            return state
        h, arm = self._features(state, step.responses), step.weights.argmax(1)
        state = {**state, **thompson.covariance_update(state, h, arm)}
        if o.feedback == "delta_j":
            before, after = step.objective()
        else:
            state, before, after = self._against_average(state, step)
        if after == before:
            return state
        reward = float((after > before) != o.literal_feedback)
        state = {**state, "informative": state["informative"] + torch.tensor([1.0, reward])}
        return {**state, **thompson.head_update(state, h, arm, reward, lam=o.lam, lr=o.head_lr)}

    @torch.no_grad()
    def scores(self, state: State, responses: ResponseBatch) -> Tensor:
        """The router's scores z [N, K]."""
        router = self._router(state).to(responses.visual.device)
        z: Tensor = router(responses.visual, responses.text, responses.mask)
        return z.cpu()

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        """``explored``, ‖U_k − λI‖ of each client; ``average``; ``informative`` and ``good``, in steps."""
        if "U" not in state:
            return {}
        ridge = self.options.lam * torch.eye(state["U"].shape[1])
        informative, good = state["informative"].tolist()
        return {
            "explored": torch.linalg.matrix_norm(state["U"] - ridge).tolist(),
            "average": float(state["average"]),
            "informative": informative,
            "good": good,
        }

    def _against_average(self, state: State, step: PolicyStepFeedback) -> tuple[State, float, float]:
        """The state with the step's mean reward (or validation) in the moving average, the average before the
        step, and the step's own."""
        if self.options.feedback == "delta_val":
            now = step.validation()
        else:
            now = float(step.fused[step.fused.isfinite()].mean())
        average, memory = float(state["average"]), self.options.memory
        before = now if isnan(average) else average
        return {**state, "average": torch.tensor(memory * before + (1 - memory) * now)}, before, now

    @torch.no_grad()
    def _features(self, state: State, responses: ResponseBatch) -> Tensor:
        """The head's inputs h [N, d]."""
        router = self._router(state).to(responses.visual.device)
        return router.pooled(responses.visual, responses.text, responses.mask).cpu()

    def _router(self, state: State) -> Router:
        """The router with the state's parameters; from the state alone, so that a run can be resumed."""
        features, embedding, clients = state["sizes"].tolist()
        router = self._module((features, embedding, clients))
        router.load_state_dict(ParamSpace.of(router).views(state["router"]))
        return router

    def _module(self, sizes: tuple[int, int, int]) -> Router:
        o = self.options
        return Router(*sizes, width=o.width, layers=o.layers, heads=o.heads)
