"""What clients train: the projector, LoRA adapters of the frozen LLM, or both, as one vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from fedbench.models.connectors import Connector
from fedbench.models.lora import LoraAdapters
from fedbench.models.saved import SavedModel, merged
from fedbench.params import ParamSpace


@dataclass(frozen=True)
class Trainable:
    """The trained parameters [P]: the projector's, unless ``frozen`` ones are used, then the adapters'.

    Where a method has moved the base that adapters belong to, a *model* [P + O] has behind them the
    ``offset`` of every adapted weight.
    """

    connector: Connector
    """The projector between vision encoder and LLM."""
    frozen: Tensor | None = None
    """Parameters of a projector that is not trained; None: it is."""
    adapters: LoraAdapters | None = None
    """The adapters; None: the LLM stays as it is."""
    start: Mapping[str, Tensor] = field(default_factory=dict)
    """Tensors of a trained model that training begins with, by name."""
    offset: Tensor | None = None
    """[O]: how far the adapted weights are moved, linear by linear; None: not at all."""

    @cached_property
    def space(self) -> ParamSpace:
        """Names and shapes of the trained parameters."""
        shapes = {} if self.frozen is not None else dict(self.connector.space.shapes)
        return ParamSpace(shapes | dict(self.adapters.space.shapes if self.adapters else {}))

    @property
    def bases(self) -> ParamSpace:
        """Names and shapes of the weights that adapters belong to."""
        return self.adapters.bases if self.adapters else ParamSpace({})

    def init(self, generator: torch.Generator) -> Tensor:
        """Draw initial parameters [P]; those that ``start`` has are its own."""
        parts = [] if self.frozen is not None else [self.connector.init(generator)]
        drawn = torch.cat([*parts, *([self.adapters.init(generator)] if self.adapters else [])])
        return self.space.flatten({**self.space.views(drawn), **self.start}) if self.start else drawn

    def saved(self, model: Tensor, backbone: str) -> SavedModel:
        """One model [P] or [P + O] of ``backbone`` (its hash) as a folder has it.

        Where the base was moved, the adapters have whatever rank it takes to do the same on the base as it
        was.
        """
        trained, offset = model[: self.space.size], model[self.space.size :]
        views = self.space.views(trained)
        projector = views if self.frozen is None else self.connector.space.views(self.frozen)
        if self.adapters is None:
            return SavedModel(projector=dict(projector), backbone=backbone)
        adapters, alpha = {name: views[name] for name in self.adapters.space.shapes}, self.adapters.alpha
        if len(offset):
            adapters, alpha = merged(adapters, self.adapters.scale, self.bases.views(offset))
        return SavedModel(
            projector={name: projector[name] for name in self.connector.space.shapes},
            adapters=adapters,
            alpha=alpha,
            backbone=backbone,
        )

    def moved(self, offset: Mapping[str, Tensor]) -> Trainable:
        """The same on a base moved by ``offset``, [O, I] by path, times the adapters' scale."""
        if not offset:
            return self
        assert self.adapters
        scale, shapes = self.adapters.scale, self.bases.shapes
        like = next(iter(offset.values()))
        parts = {
            path: scale * offset[path] if path in offset else like.new_zeros(shapes[path]) for path in shapes
        }
        return replace(self, offset=self.bases.flatten(parts, like.dtype))

    def models(self, params: Tensor) -> Tensor:
        """Models [M, P] or [M, P + O] of trained parameters [M, P]."""
        if self.offset is None:
            return params
        return torch.cat([params, self.offset.expand(len(params), -1)], dim=1)

    def visual(self, params: Tensor, features: Tensor) -> Tensor:
        """Visual tokens [C, ..., T, D] of features [C, ..., T, F] under parameters [C, P]."""
        if self.frozen is not None:
            tokens = self.connector(self.frozen[None], features.flatten(0, -3)[None])[0]
            return tokens.reshape(*features.shape[:-2], *tokens.shape[1:])
        size = self.connector.space.size
        return self.connector(params if params.shape[1] == size else params[:, :size], features)

    @contextmanager
    def attached(self, params: Tensor, real: Tensor | None = None) -> Iterator[None]:
        """Let the LLM compute with the adapters in ``params`` [C, P], or in one model [1, P + O], while the
        context lasts.

        ``real`` [N, L]: which positions of a batch hold a token, client by client; None where all are one's.
        """
        if self.adapters is None:
            yield
            return
        end = self.space.size
        own = params[:, end - self.adapters.space.size : end]
        bases = self._moved_weights if params.shape[1] == end else self._weights(params[0, end:])
        counts = None if real is None else real.view(len(params), -1).sum(1).tolist()
        with self.adapters.attached(own, counts, bases):
            yield

    @cached_property
    def _moved_weights(self) -> dict[str, Tensor] | None:
        """The adapted weights moved by this trainable's own offset: the same in every step of a round."""
        return None if self.offset is None else self._weights(self.offset)

    def _weights(self, offset: Tensor) -> dict[str, Tensor]:
        """The adapted weights moved by ``offset`` [O], by path."""
        assert self.adapters
        moves = self.bases.views(offset)
        return {
            path: layer.weight + moves[path].to(layer.weight.dtype)
            for path, layer in self.adapters.layers.items()
        }
