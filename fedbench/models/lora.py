"""LoRA (Hu et al. 2021, arXiv 2106.09685) of a frozen LLM's linears, along the client axis.

The tokens of a pass lie client by client; each adapted linear adds s · B_c A_c x to its client's own segment,
so that one pass through the frozen base trains C clients' adapters with the gradients that each would have
alone. Names and shapes are peft's: what is trained here is an adapter that peft loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from fedbench.api.adapters import LORA_A, LORA_B
from fedbench.api.scenario import LoraSettings
from fedbench.errors import UsageError
from fedbench.models.segments import own_outer, times_own
from fedbench.params import ParamSpace

ALL_LINEAR = "all-linear"
"""The target that stands for every linear of the LLM but its output layer, as in peft."""


@dataclass(frozen=True)
class LoraAdapters:
    """ΔW = s · B A for each of the LLM's linears ``layers`` (by path), B [O, r], A [r, I], s = α/r.

    Clients of smaller rank use the first rows of A and columns of B; s is the largest rank's for all, so that
    adapters of different ranks add up.
    """

    layers: Mapping[str, nn.Linear]
    """The adapted linears, by their path in the LLM."""
    rank: int
    """r, the largest of any client's."""
    alpha: float
    """α: ΔW is scaled by α/r."""

    @classmethod
    def of(cls, llm: Any, settings: LoraSettings) -> LoraAdapters:
        """Find the linears of ``llm`` that ``settings`` name; :class:`UsageError` if they can't be
        adapted."""
        layers = _targets(llm, settings.targets)
        least, path = min((min(layer.weight.shape), path) for path, layer in layers.items())
        if settings.largest_rank > least:
            raise UsageError(
                f"training.lora.rank {settings.largest_rank} is too large",
                why=f"{path} is a matrix of {' × '.join(map(str, layers[path].weight.shape))}",
                fix=f"use a rank of at most {least}, or leave it out of training.lora.targets",
            )
        return cls(layers=layers, rank=settings.largest_rank, alpha=settings.alpha)

    @property
    def scale(self) -> float:
        """s = α/r."""
        return self.alpha / self.rank

    @cached_property
    def space(self) -> ParamSpace:
        """Names and shapes of all factors, linear by linear: A, then B."""
        shapes: dict[str, tuple[int, ...]] = {}
        for path, layer in self.layers.items():
            shapes |= {
                f"{path}{LORA_A}": (self.rank, layer.in_features),
                f"{path}{LORA_B}": (layer.out_features, self.rank),
            }
        return ParamSpace(shapes)

    @cached_property
    def bases(self) -> ParamSpace:
        """Names and shapes of the adapted linears' own weights [O, I]."""
        return ParamSpace({path: tuple(layer.weight.shape) for path, layer in self.layers.items()})

    def init(self, generator: torch.Generator) -> Tensor:
        """Draw initial factors [P] as peft does: A from U(±1/√I) (Kaiming), B = 0, so that ΔW = 0."""

        def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
            if name.endswith(LORA_B):
                return torch.zeros(shape)
            random: Tensor = torch.rand(shape, generator=generator)
            spread: Tensor = (random * 2 - 1) / shape[1] ** 0.5
            return spread

        return self.space.flatten({name: drawn(name, shape) for name, shape in self.space.shapes.items()})

    @contextmanager
    def attached(
        self, params: Tensor, counts: Sequence[int] | None = None, bases: Mapping[str, Tensor] | None = None
    ) -> Iterator[None]:
        """Let the LLM compute with the adapters ``params`` [C, P] while the context lasts.

        ``counts`` [C]: how many of a pass's tokens are each client's, in order; None: one client has them
        all. ``bases``: weights [O, I] that take the place of the LLM's own, by path.
        """
        views = self.space.views(params)
        with ExitStack() as stack:
            for path, layer in self.layers.items():
                hook = partial(_add, views[f"{path}{LORA_A}"], views[f"{path}{LORA_B}"], counts, self.scale)
                stack.callback(layer.register_forward_hook(hook).remove)
                if bases is not None:
                    stack.enter_context(_holding(layer, bases[path]))
            yield


def _add(
    a: Tensor,
    b: Tensor,
    counts: Sequence[int] | None,
    scale: float,
    layer: nn.Module,
    inputs: tuple[Tensor, ...],
    output: Tensor,
) -> Tensor:
    """A forward hook that adds s · B_c A_c x to what ``layer`` gives."""
    (x,) = inputs
    rows = x.to(a.dtype).flatten(0, -2)
    delta: Tensor = _Delta.apply(rows, a, b, (len(rows),) if counts is None else tuple(counts), scale)  # type: ignore[no-untyped-call]
    return output + delta.view(output.shape).to(output.dtype)


class _Delta(torch.autograd.Function):
    """s · B_c A_c x for rows x [M, I] that lie client by client: one node of the graph, which keeps of the
    pass only x itself and A x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, counts: tuple[int, ...], scale: float) -> Tensor:
        inner = times_own(x, a.mT, counts)
        ctx.save_for_backward(x, a, b, inner)
        ctx.counts, ctx.scale = counts, scale
        return times_own(inner, b.mT, counts).mul_(scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, a, b, inner = ctx.saved_tensors
        grad = grad * ctx.scale
        of_inner = times_own(grad, b, ctx.counts)
        of_x = times_own(of_inner, a, ctx.counts) if ctx.needs_input_grad[0] else None
        return of_x, own_outer(of_inner, x, ctx.counts), own_outer(grad, inner, ctx.counts), None, None


@contextmanager
def _holding(layer: nn.Linear, weight: Tensor) -> Iterator[None]:
    """Let ``layer`` compute with another weight. Its own parameter is not written to: what autograd has saved
    of a pass must stay as it was."""
    own = layer._parameters["weight"]
    layer._parameters["weight"] = weight  # type: ignore[assignment]
    try:
        yield
    finally:
        layer._parameters["weight"] = own


def _targets(llm: Any, names: Sequence[str]) -> dict[str, nn.Linear]:
    """The linears whose path is, or ends with, one of ``names``."""
    head: nn.Module | None = llm.get_output_embeddings()
    modules = {path: module for path, module in llm.named_modules() if path}
    linears = {path: module for path, module in modules.items() if isinstance(module, nn.Linear)}
    if ALL_LINEAR in names:
        return {path: linear for path, linear in linears.items() if linear is not head}
    there = sorted({path.rpartition(".")[2] for path, linear in linears.items() if linear is not head})
    found: dict[str, nn.Linear] = {}
    for name in names:
        matching = [path for path in modules if path == name or path.endswith(f".{name}")]
        if not matching:
            raise UsageError(
                f"training.lora.targets: no module of the LLM is called {name!r}",
                fix=f"its linears are {', '.join(there)}; {ALL_LINEAR} stands for all",
            )
        for path in matching:
            _check_linear(llm, path, modules[path])
            found[path] = linears[path]
    return {path: linear for path, linear in linears.items() if path in found}


def _check_linear(llm: nn.Module, path: str, module: nn.Module) -> None:
    """Refuse a module that can take no adapter."""
    why = ""
    if type(module) is not nn.Linear:
        why = f"it is a {type(module).__name__}, not a torch.nn.Linear"
    elif sum(each is module.weight for each in _weights(llm)) > 1:
        why = "its weight is tied to another module's, which would move along"
    if why:
        raise UsageError(
            f"training.lora.targets: {path} can't take an adapter",
            why=why,
            fix="leave it out, or load the model unquantised and untied",
        )


def _weights(llm: nn.Module) -> Iterator[Tensor]:
    """The weight of every module, a tied one as often as it is used."""
    for module in llm.modules():
        weight = module._parameters.get("weight")
        if weight is not None:
            yield weight
