"""A preference benchmark of plain colours, small enough to run in a test, as a plugin."""

from pathlib import Path

from fedbench import BackboneSpec, DatasetSpec, ScenarioSpec, hookimpl


@hookimpl
def fedbench_register_backbones():
    yield BackboneSpec(name="seeing", factory="toy_preferences.parts:seeing", summary="nano with a projector")


@hookimpl
def fedbench_register_datasets():
    yield DatasetSpec(name="colours", factory="toy_preferences.parts:colours", summary="colours by task")


@hookimpl
def fedbench_register_scenarios():
    yield ScenarioSpec(Path(__file__).parent / "toy-preferences.toml")
