"""A scenario as the text of a file: the whole, whatever it extends, which can be run again."""

from __future__ import annotations

from typing import Any

import tomlkit

from fedbench.api.scenario import Scenario
from fedbench.resolution import located

WIDTH = 100
"""Characters of a list beyond which each of its values has a line of its own."""


def scenario_toml(scenario: Scenario) -> str:
    """Write ``scenario`` as TOML with every setting, defaults included, and its fingerprint.

    Options of its parts are those that it gives. Paths of files are absolute: the text may be kept anywhere,
    under the scenario's own name.
    """
    document = tomlkit.document()
    document.add(tomlkit.comment(f"fingerprint {scenario.fingerprint}"))
    document.add(tomlkit.comment(f"to be kept as {scenario.name}.toml"))
    values = scenario.model_dump(mode="json", exclude_none=True)
    if scenario.faults:  # which refuse what says nothing, so not every default may be written
        values["faults"] = scenario.faults.model_dump(mode="json", exclude_unset=True)
    for key, value in _written(values, scenario).items():
        document.add(key, value)
    return tomlkit.dumps(document)


def _written(values: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
    """Drop empty tables, make paths absolute, break long lists."""
    written: dict[str, Any] = {}
    for key, value in values.items():
        if key == "files":
            value = {option: located(place, scenario.folder) for option, place in value.items()}
        elif isinstance(value, dict):
            value = _written(value, scenario)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            value = [_written(inner, scenario) for inner in value]
        elif isinstance(value, list):
            array = tomlkit.array()
            array.extend(value)
            value = array.multiline(len(array.as_string()) > WIDTH)
        if value != {}:
            written[key] = value
    return written
