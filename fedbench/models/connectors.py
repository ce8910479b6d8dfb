"""Connectors: the modules between vision encoder and LLM that clients can train, by their names."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from fedbench.api.scenario import Connector as ConnectorName
from fedbench.errors import UsageError
from fedbench.models.backbone import Backbone
from fedbench.models.functional import Functional
from fedbench.models.projector import Projector
from fedbench.params import ParamSpace

RESAMPLER_HEADS = 4
"""Attention heads of a resampler whose width they divide; else it has one."""


class Connector(Protocol):
    """A module whose parameters are given at each call, one set per client."""

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of the parameters, P numbers."""
        ...

    def init(self, generator: torch.Generator) -> Tensor:
        """Draw initial parameters [P]."""
        ...

    def __call__(self, params: Tensor, visual: Tensor, /) -> Tensor:
        """Map features [C, B, T, F] to visual tokens [C, B, T', D] under parameters [C, P]."""
        ...


class Resampler(nn.Module):
    """Learnt queries that attend to an image's tokens (Perceiver resampler of Flamingo, arXiv 2204.14198, one
    layer): [B, T, F] to [B, Q, D], whatever T is."""

    def __init__(self, features: int, width: int, queries: int) -> None:
        super().__init__()
        heads = RESAMPLER_HEADS if width % RESAMPLER_HEADS == 0 else 1
        self.queries = nn.Parameter(torch.zeros(queries, width))
        self.enter = nn.Linear(features, width)
        self.norm = nn.LayerNorm(width)
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.leave = nn.Linear(width, width)

    def forward(self, visual: Tensor) -> Tensor:
        """Visual tokens [B, Q, D] of features [B, T, F]."""
        tokens = self.norm(self.enter(visual))

        def split(values: Tensor) -> Tensor:
            heads: Tensor = values.unflatten(-1, (self.heads, -1)).transpose(-2, -3)
            return heads

        query = split(self.query(self.queries)).expand(len(visual), -1, -1, -1)
        key, value = split(self.key(tokens)), split(self.value(tokens))
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        attended = (weights @ value).transpose(-2, -3).flatten(-2)
        out: Tensor = self.queries + self.leave(attended)
        return out


def make_connector(
    name: ConnectorName, backbone: Backbone, tokens: int, features: int, hidden: int
) -> Connector:
    """Make the connector ``name`` from ``tokens`` × ``features`` an image to ``backbone``'s embedding width;
    a resampler has as many queries as there are tokens. :class:`UsageError` for a backbone without its own.
    """
    match name:
        case "mlp2":
            return Projector(features, hidden, backbone.width)
        case "linear":
            return Functional(nn.Linear(features, backbone.width))
        case "resampler":
            return Functional(Resampler(features, backbone.width, tokens))
        case "backbone":
            if backbone.connector is None:
                raise UsageError(
                    "training.connector is 'backbone'",
                    why=f"backbone {backbone.name!r} brings no connector",
                    fix="use mlp2, linear or resampler",
                )
            return Functional(backbone.connector)
