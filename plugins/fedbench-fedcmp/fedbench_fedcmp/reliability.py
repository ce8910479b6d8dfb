"""Reliability-weighted fusion (RWF): how much each client counts.

    w_k ∝ ‖θ_k − θ_{r−1}‖² · exp(−α d_k),   Σ_k w_k = 1

d_k is the client's modality gap after training, averaged over its examples.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from fedbench import Cohort, Signals
from fedbench_fedcmp.options import FedCMPOptions

REPORT = "modality_gap"


def reliability(cohort: Cohort, options: FedCMPOptions) -> Tensor:
    """w_k [C] in float64, summing to 1: one per client over all projector parameters.

    They are n_k/n when ``rwf`` is off, when both of its parts are, and when no client moved.
    """
    share = cohort.num_examples.double()
    share = share / share.sum()
    if not options.rwf or not (options.magnitude or options.quality):
        return share
    sizes = update_sizes(cohort)
    if not sizes.any():
        return share
    # In log space: exp(−α d) of a raw high-dimensional distance underflows for every client.
    scores = torch.zeros_like(share)
    if options.magnitude:
        scores = scores + options.magnitude_power * sizes.log()
    if options.quality and options.alpha > 0:
        scores = scores - options.alpha * known(cohort.sent[REPORT].double())
    return scores.softmax(dim=0)


def known(gaps: Tensor) -> Tensor:
    """The gaps d_k [C] with the others' mean in the place of 0: what a client without any image reports is no
    gap at all, and must not pass for a perfect one. The paper has no such clients; this is our reading."""
    measured = gaps > 0
    return gaps.where(measured, gaps[measured].mean()) if measured.any() else gaps


def update_sizes(cohort: Cohort) -> Tensor:
    """‖θ_k − θ_{r−1}‖ [C] in float64, one client at a time: no second matrix [C, P] is made."""
    rows = zip(cohort.params.split(1), cohort.start.split(1), strict=True)
    norm = torch.linalg.vector_norm
    return torch.cat([norm(end - start, dim=1, dtype=torch.float64) for end, start in rows])


def modality_gap(signals: Signals, distance: Literal["l2", "sq", "cos"]) -> Tensor:
    """d of each example [C, B]: from its mean projected visual token to its mean text embedding."""
    image = signals.visual.float().mean(dim=2)
    text = signals.text.float()
    if distance == "cos":
        return 1 - cosine_similarity(image, text, dim=-1)
    squared = (image - text).square().sum(dim=-1)
    return squared if distance == "sq" else squared.sqrt()
