"""The division of the parameters into those that travel and those that stay with their client."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fedbench.errors import UsageError
from fedbench.params import ParamSpace


@dataclass(frozen=True)
class Division:
    """Splits vectors of all parameters [..., P] into the travelling [..., S] and the staying [..., P−S].

    ``names``: the tensors of ``space`` that travel; None: all. Where all do, nothing is copied.
    """

    space: ParamSpace
    names: Collection[str] | None

    def __post_init__(self) -> None:
        if strange := sorted(set(self.names or ()) - set(self.space.shapes)):
            raise UsageError(
                f"a method lets parameters travel that there are not: {', '.join(strange)}",
                why=f"the trained ones are {', '.join(self.space.shapes)}",
            )

    @cached_property
    def travelling(self) -> ParamSpace:
        """Names and shapes of the parameters that travel, in the order of all."""
        return self.space if self.names is None else self.space.only(self.names)

    @cached_property
    def staying(self) -> ParamSpace:
        """Names and shapes of the parameters that stay with their client."""
        return self.space.only([name for name in self.space.shapes if name not in self.travelling.shapes])

    def sent(self, params: Tensor) -> Tensor:
        """The travelling part [..., S] of parameters [..., P]."""
        return self._part(params, list(self.travelling.shapes))

    def kept(self, params: Tensor) -> Tensor:
        """The staying part [..., P−S] of parameters [..., P]."""
        return self._part(params, list(self.staying.shapes))

    def joined(self, sent: Tensor, kept: Tensor) -> Tensor:
        """All parameters [..., P] from both parts."""
        if not self.staying.size:
            return sent
        if not self.travelling.size:
            return kept
        parts = [
            (sent if name in self.travelling.shapes else kept)[..., slice(*self._span(name))]
            for name in self.space.shapes
        ]
        return torch.cat(parts, dim=-1)

    def _span(self, name: str) -> tuple[int, int]:
        """Where a tensor lies in its part."""
        return (self.travelling if name in self.travelling.shapes else self.staying).spans[name]

    def _part(self, params: Tensor, names: Sequence[str]) -> Tensor:
        if len(names) == len(self.space.shapes):
            return params
        if not names:
            return params[..., :0]
        return torch.cat([params[..., slice(*self.space.spans[name])] for name in names], dim=-1)
