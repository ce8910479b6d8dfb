"""Any torch module as a task: supervised training of a network of one's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from fedbench.federation.task import Task
from fedbench.params import ParamSpace

Criterion = Callable[[Tensor, Tensor], Tensor]
"""``criterion(outputs [B, ...], targets [B, ...])``: each example's loss [B]."""


@dataclass(frozen=True)
class ModuleTask(Task):
    """Every client minimises the mean ``criterion`` of ``module`` on its own examples.

    The module is on ``inputs``' device; its buffers stay as they are. A client's examples are read by its own
    call of the module, without padding: ``vmap`` would make one grouped convolution of the clients', which is
    slow on a CPU. On a GPU neither was timed.
    """

    module: nn.Module
    """The network; the parameters that it holds are where training starts."""
    inputs: Tensor
    """[N, ...]: every example's input."""
    targets: Tensor
    """[N, ...]: every example's target."""
    criterion: Criterion
    """The loss of each example."""

    @cached_property
    def space(self) -> ParamSpace:
        """Names and shapes of the module's parameters."""
        return ParamSpace.of(self.module)

    @property
    def device(self) -> torch.device:
        """Where the inputs lie."""
        return self.inputs.device

    @property
    def init(self) -> Tensor:
        """The module's own parameters [P]."""
        return nn.utils.parameters_to_vector(self.module.parameters()).detach()

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """Each client's mean loss, [C]."""
        return torch.stack([self._one(*each) for each in zip(params.unbind(), index.unbind(), strict=True)])

    def _one(self, params: Tensor, index: Tensor) -> Tensor:
        mine = index[index >= 0]
        if not len(mine):
            return params.sum() * 0
        views = self.space.views(params)
        for module, attribute, name in self._slots:
            setattr(module, attribute, views[name])
        outputs = self._copy(self.inputs[mine])
        return self.criterion(outputs, self.targets[mine]).mean()

    @cached_property
    def _copy(self) -> nn.Module:
        """The module with plain tensors where its parameters were: setting them takes a tenth of the time of
        ``torch.func.functional_call``, which looks for every parameter and puts it back at each call."""
        copied = copy.deepcopy(self.module)
        for path, _ in list(copied.named_parameters(remove_duplicate=False)):
            owner, _, attribute = path.rpartition(".")
            delattr(copied.get_submodule(owner), attribute)
        return copied

    @cached_property
    def _slots(self) -> list[tuple[nn.Module, str, str]]:
        """Where each parameter goes: a module of the copy, its attribute, the name; a tied one goes twice."""
        first = {id(parameter): name for name, parameter in self.module.named_parameters()}
        slots = []
        for path, parameter in self.module.named_parameters(remove_duplicate=False):
            owner, _, attribute = path.rpartition(".")
            slots.append((self._copy.get_submodule(owner), attribute, first[id(parameter)]))
        return slots
