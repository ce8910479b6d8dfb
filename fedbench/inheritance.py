"""A scenario that extends another: the files behind it, and the whole that they are together."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from fedbench.api.scenario import FILE_KEYS, PartName
from fedbench.catalog import Catalog
from fedbench.errors import UsageError, suggest
from fedbench.plugins import Plugins
from fedbench.resolution import located

OWN = ("name", "version", "summary")
"""Keys that are not taken over: each file says them of itself."""


@dataclass(frozen=True, kw_only=True)
class ScenarioFile:
    """A scenario file as it was read."""

    path: Path
    """Where it lies."""
    text: str
    """What stands in it."""
    values: Mapping[str, Any]
    """The same, parsed."""

    @property
    def title(self) -> str:
        """``name@version``, as far as it says so."""
        return f"{self.values.get('name', self.path.stem)}@{self.values.get('version', 1)}"

    def place(self, *location: str) -> str:
        """The file and the line that sets the key at ``location``, for errors."""
        return f"{self.path}, line {self.nearest(location)[1]}"

    def nearest(self, location: Sequence[str]) -> tuple[int, int]:
        """Find the line that sets ``location``, or else the header of the closest enclosing table.

        Returns how many keys of ``location`` it names and its number, from 1.
        """
        table: list[str] = []
        best = (0, 1)
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[+\s*([\w.\-]+)\s*\]", line):
                table = header[1].split(".")
                path = table
            elif key := re.match(r"\s*([\w.\-]+)\s*=", line):
                path = [*table, *key[1].split(".")]
            else:
                continue
            depth = len(path) if path == list(location[: len(path)]) else 0
            best = max(best, (depth, number), key=lambda depth_and_line: depth_and_line[0])
        return best


def lineage(path: Path, catalog: Catalog | None) -> list[ScenarioFile]:
    """Read the file at ``path``, what it extends, what that extends, and so on.

    Names are looked up in ``catalog``, or where that is None among what is installed. Raises
    :class:`UsageError` where one can't be read or found, is of another version than wanted, or comes twice.
    """
    files = [_read(path)]
    while (wanted := files[-1].values.get("extends")) is not None:
        child = files[-1]
        if not isinstance(wanted, str) or not wanted:
            raise UsageError(
                f"bad value for 'extends': {wanted!r}",
                where=child.place("extends"),
                why="it names one scenario",
                fix='write extends = "emoji-ii", "emoji-ii@1" or "base.toml"',
            )
        name, _, version = wanted.partition("@")
        try:
            parent = _read(_parent_path(name, child, catalog))
        except UsageError as error:
            raise UsageError(f"can't extend {wanted!r}", where=child.place("extends"), why=error) from error
        if version and parent.title.rpartition("@")[2] != version:
            raise UsageError(
                f"can't extend {wanted!r}",
                where=child.place("extends"),
                why=f"what is there is {parent.title}",
                fix="see what has changed, and name that version or none",
            )
        files.append(parent)
        paths = [file.path.resolve() for file in files]
        if paths[-1] in paths[:-1]:
            circle = " → ".join(str(file.path) for file in files[paths.index(paths[-1]) :])
            raise UsageError(
                f"can't extend {wanted!r}", where=child.place("extends"), why=f"it extends itself: {circle}"
            )
    return files


def whole(files: Sequence[ScenarioFile]) -> dict[str, Any]:
    """Put the files of a :func:`lineage` together: tables key by key, everything else as the child has it.

    A part of another name replaces the parent's; a pin goes where what it pins changes. Paths of a parent's
    files become absolute, as they begin at its own folder.
    """
    values = {key: value for key, value in files[-1].values.items() if key not in FILE_KEYS}
    if "without" in files[-1].values:
        raise UsageError(
            "'without' says nothing", where=files[-1].place("without"), why="the file extends no other"
        )
    for parent, child in zip(files[:0:-1], files[-2::-1], strict=True):
        taken = {key: value for key, value in values.items() if key not in OWN}
        taken = _less(_anchored(taken, parent.path.parent), child)
        own = {key: value for key, value in child.values.items() if key not in FILE_KEYS}
        values = _without_stale_pins(_merged(taken, own), taken, own)
    return values


def _read(path: Path) -> ScenarioFile:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError("can't read the scenario", where=path, why=error.strerror) from error
    except UnicodeDecodeError as error:
        fix = "save it as UTF-8"
        raise UsageError("can't read the scenario", where=path, why=error, fix=fix) from error
    try:
        return ScenarioFile(path=path, text=text, values=tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        end = f"line {len(text.splitlines())}, the end"
        why = str(error).replace("end of document", end)
        raise UsageError("the scenario is not valid TOML", where=path, why=why) from error


def _parent_path(name: str, child: ScenarioFile, catalog: Catalog | None) -> Path:
    if name.endswith(".toml"):
        return child.path.parent / name
    try:
        return (catalog or Catalog(Plugins())).scenario(name).spec.path
    except UsageError as error:
        if (child.path.parent / f"{name}.toml").is_file():
            raise UsageError(str(error), fix=f"a file is named with its ending: {name}.toml") from error
        raise


def _merged(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Take what the child has, tables of the same part key by key: another data set takes other options."""
    merged = dict(parent)
    for key, value in child.items():
        old = parent.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            same_part = old.get("name") == value.get("name", old.get("name"))
            merged[key] = _merged(old, value) if same_part else value
        else:
            merged[key] = value
    return merged


def _less(values: dict[str, Any], child: ScenarioFile) -> dict[str, Any]:
    """Leave out of the parent's ``values`` what the child goes ``without``."""
    names = child.values.get("without", [])
    place = child.place("without")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"bad value for 'without': {names!r}", where=place, fix='write without = ["faults"]')
    for dotted in names:
        *sections, last = dotted.split(".")
        table = values
        for section in sections:
            table = table.get(section, {}) if isinstance(table, dict) else {}
        if not isinstance(table, dict) or last not in table:
            known = table if isinstance(table, dict) else ()
            raise UsageError(
                f"'without' names {dotted!r}",
                where=place,
                why="what the scenario extends has no such key",
                fix=suggest(last, known),
            )
        del table[last]
    return values


def _anchored(values: Any, folder: Path) -> Any:
    """Copy ``values`` with absolute paths in all tables called ``files``."""
    if isinstance(values, list):
        return [_anchored(value, folder) for value in values]
    if not isinstance(values, dict):
        return values
    return {
        key: {option: located(place, folder) for option, place in value.items()}
        if key == "files" and isinstance(value, dict)
        else _anchored(value, folder)
        for key, value in values.items()
    }


def _without_stale_pins(
    values: dict[str, Any], parent: Mapping[str, Any], child: Mapping[str, Any]
) -> dict[str, Any]:
    """Leave out the parent's pins of parts that the child has changed; a partition's depends on all parts,
    and on how many clients there are."""
    changed = {part for part in get_args(PartName) if _content(values, part) != _content(parent, part)}
    if changed or _clients(values) != _clients(parent):
        changed.add("partition")
    for part in changed:
        if isinstance(values.get(part), dict) and "sha256" not in (_content(child, part) or {}):
            values[part] = {key: value for key, value in values[part].items() if key != "sha256"}
    return values


def _content(values: Mapping[str, Any], part: str) -> Any:
    table = values.get(part)
    return {k: v for k, v in table.items() if k != "files"} if isinstance(table, Mapping) else table


def _clients(values: Mapping[str, Any]) -> Any:
    federation = values.get("federation")
    return federation.get("clients") if isinstance(federation, Mapping) else None
