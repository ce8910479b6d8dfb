"""The anchors of each track: the runs between which everything else is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from fedbench.api.specs import Track


class Anchors(BaseModel):
    """The methods that every scenario of a board needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    floor: str
    """The lower end of the gap, 0; no rank."""
    ceiling: str
    """The upper end of the gap, 1; no rank."""
    beside: tuple[str, ...] = ()
    """Shown in the table without a rank."""
    baseline: tuple[str, ...] = ()
    """Ranked like any other method."""

    @property
    def unranked(self) -> tuple[str, ...]:
        """The anchors that get no rank."""
        return self.floor, *self.beside, self.ceiling

    @property
    def all(self) -> tuple[str, ...]:
        """Every anchor."""
        return *self.unranked, *self.baseline


ANCHORS: Mapping[Track, Anchors] = {
    "alignment": Anchors(floor="start", ceiling="centralized", beside=("local",), baseline=("fedavg",)),
    "preference": Anchors(floor="start", ceiling="gold-reward"),
}


def sole_provider(name: str, methods: Iterable[tuple[str, str]]) -> str | None:
    """Find the plugin that alone provides a method called ``name``; None if no plugin or more than one does.

    ``methods`` are pairs of name and plugin. Only a method with one provider can be an anchor.
    """
    plugins = [plugin for method, plugin in methods if method == name]
    return plugins[0] if len(plugins) == 1 else None
