"""The anchors of each track: the runs between which everything else is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from fedbench.api.specs import Track


class Anchors(BaseModel):
    """Methods that every scenario of a board needs. A gap is closed from ``floor`` to ``ceiling``; those
    two and ``beside`` frame the table and have no rank, the ``baseline`` has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    floor: str
    ceiling: str
    beside: tuple[str, ...] = ()
    baseline: tuple[str, ...] = ()

    @property
    def frame(self) -> tuple[str, ...]:
        """The anchors that have no rank."""
        return self.floor, *self.beside, self.ceiling

    @property
    def all(self) -> tuple[str, ...]:
        return *self.frame, *self.baseline


ANCHORS: Mapping[Track, Anchors] = {
    "alignment": Anchors(floor="start", ceiling="centralized", beside=("local",), baseline=("fedavg",)),
    "preference": Anchors(floor="start", ceiling="gold-reward"),
}


def sole_provider(name: str, methods: Iterable[tuple[str, str]]) -> str | None:
    """The plugin that alone provides a method called ``name`` among ``methods``, pairs of name and plugin;
    None if no plugin or more than one does. Only such a method can be an anchor."""
    plugins = [plugin for method, plugin in methods if method == name]
    return plugins[0] if len(plugins) == 1 else None
