"""What is wrong with a plugin's specs, as far as it can be said without importing what they point at."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from fedbench.api.options import Options
from fedbench.api.specs import (
    BackboneSpec,
    DatasetSpec,
    FormSpec,
    LeaderboardSpec,
    MethodSpec,
    MetricSpec,
    PartitionerSpec,
    ScenarioSpec,
    Spec,
    Track,
)
from fedbench.errors import suggest

WITH_OPTIONS = (BackboneSpec, DatasetSpec, MethodSpec, PartitionerSpec)


def spec_problem(spec: Spec) -> str:
    """Say what is wrong with a spec: an unknown track or form, a missing module, options that are no options
    model; empty if nothing is."""
    if isinstance(spec, ScenarioSpec | LeaderboardSpec):
        return ""
    if isinstance(spec, MethodSpec) and spec.track not in (tracks := (*get_args(Track), "any")):
        return f"there is no track {spec.track!r}, {suggest(str(spec.track), tracks)}"
    if isinstance(spec, MetricSpec) and not (isinstance(spec.values, tuple) and spec.values):
        return f"its values are {spec.values!r}, not a tuple of names"
    if isinstance(spec, FormSpec) and (problem := _column_problem(spec.columns)):
        return problem
    for path in paths(spec):
        if problem := module_problem(path):
            return problem
    options = spec.options if isinstance(spec, WITH_OPTIONS) else Options
    if isinstance(options, str) or (isinstance(options, type) and issubclass(options, Options)):
        return ""
    return f"its options are {_named(options)}, not a subclass of fedbench.Options"


def _column_problem(columns: Any) -> str:
    if not isinstance(columns, Mapping) or not columns:
        return f"its columns are {columns!r}, not what each is by name"
    odd = [name for name in columns if not isinstance(name, str) or not name.isidentifier()]
    if odd:
        return f"its column {odd[0]!r} can't be an argument of a metric"
    return "its column 'group' is what every form has" if "group" in columns else ""


def paths(spec: Spec) -> Iterator[Any]:
    """List what a spec points at, each ``"module:attribute"``."""
    if not isinstance(spec, ScenarioSpec | LeaderboardSpec):
        yield spec.factory
        if isinstance(spec, DatasetSpec) and spec.suites:
            yield spec.suites
        if isinstance(spec, WITH_OPTIONS) and isinstance(spec.options, str):
            yield spec.options


def module_problem(path: Any) -> str:
    """Say why ``path``, a ``"module:attribute"``, can't be; its module is looked for and not imported."""
    module, colon, attribute = path.partition(":") if isinstance(path, str) else ("", "", "")
    if not (module and colon and attribute):
        return f"it points at {_named(path)}, which is not of the form 'module:attribute'"
    return "" if _find(module) else f"it points at {path}, and there is no module {module!r}"


def attribute_problem(path: str) -> str:
    """Say that the module of ``path`` is there and does not define the attribute, by reading its source."""
    module, _, attribute = path.partition(":")
    spec = _find(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    try:
        body = ast.parse(Path(spec.origin).read_bytes()).body
    except (OSError, SyntaxError, ValueError) as error:
        return f"it points at {path}, which can't be loaded: {type(error).__name__}: {error}"
    names = set(_defined(body))
    if {attribute, "*", "__getattr__"} & names:
        return ""
    return f"it points at {path}, and {module} has no {attribute!r}, {suggest(attribute, names)}"


def _find(module: str) -> ModuleSpec | None:
    """Find a module without importing its parents."""
    if (loaded := sys.modules.get(module)) is not None and loaded.__spec__ is not None:
        return loaded.__spec__
    parent = module.rpartition(".")[0]
    try:
        if not parent:
            return find_spec(module)
        package = _find(parent)
        if package is None or package.submodule_search_locations is None:
            return None
        return PathFinder.find_spec(module, package.submodule_search_locations)
    except (ImportError, ValueError):
        return None


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    """List the names that a module's statements define; ``*`` for an import of everything."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name.split(".")[0] for alias in names)
            case ast.If(body=first, orelse=second):
                yield from _defined([*first, *second])
            case ast.Try(body=first, handlers=handlers, orelse=second, finalbody=last):
                inner = [child for handler in handlers for child in handler.body]
                yield from _defined([*first, *inner, *second, *last])
            case ast.With(body=first):
                yield from _defined(first)
            case _:
                yield from (name.id for name in ast.walk(node) if isinstance(name, ast.Name))


def _named(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)
