"""Options: read as ``key=value`` from a command line, validated with one line that says what is wrong."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from fedbench.errors import UsageError

M = TypeVar("M", bound=BaseModel)

_LOCATION = WithJsonSchema({"type": "location"})

Location = Annotated[str, Field(min_length=1), _LOCATION]
"""Where files lie: a path, or the id of a repository on the Hugging Face Hub.

A scenario gives such options in the section ``files`` of its part, apart from the others: where files lie is
no part of what is compared, what they hold is. A user's own path reaches the plugin as an absolute one.

>>> from fedbench import Location, Options
>>> class MyOptions(Options):
...     folder: Location
>>> MyOptions(folder="/data/x-rays").folder
'/data/x-rays'
"""


class Options(BaseModel):
    """Base of every options model: typed, closed, immutable. Give each field a description.

    >>> from pydantic import Field
    >>> from fedbench import Options
    >>> class MyOptions(Options):
    ...     mu: float = Field(0.01, ge=0, description="weight μ of the proximal term")
    >>> MyOptions(mu=0.1)
    MyOptions(mu=0.1)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
    """No further keys, no changes, no NaN, no conversions."""


def parse_value(text: str) -> Any:
    """A TOML value (``3``, ``1e-3``, ``true``, ``[1, 2]``), a list or object of JSON, None for ``none``, or
    else the text itself. Python's ``True``, ``False`` and ``None`` are understood, too."""
    if text in ("none", "None"):
        return None
    if text in ("True", "False"):
        return text == "True"
    with suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(f"value = {text}")["value"]
    if text.startswith(("[", "{")):
        with suppress(json.JSONDecodeError):
            return json.loads(text)
    return text


def format_value(value: Any) -> str:
    """The text that :func:`parse_value` reads as ``value``."""
    if value is None:
        return "none"
    return value if isinstance(value, str) and parse_value(value) == value else json.dumps(value)


def parse_assignments(assignments: Iterable[str], flag: str) -> dict[str, Any]:
    """Read ``["mu=0.1"]`` as ``{"mu": 0.1}``; ``flag`` is named when one is malformed."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{flag} {assignment!r} is not of the form key=value")
        values[key.strip()] = parse_value(text.strip())
    return values


def validated(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """``model(**values)``; the first problem becomes a :class:`UsageError` that names the option.

    Values are taken as JSON's: strictly, but a list is a tuple and a text a path or a member of an
    enumeration where the model says so. So a record's options are what its method takes.

    >>> from fedbench import Options, validated
    >>> class MyOptions(Options):
    ...     mu: float = 0.01
    >>> validated(MyOptions, {"mu": 1}, "method 'mine'").mu
    1.0
    >>> validated(MyOptions, {"nu": 1}, "method 'mine'")
    Traceback (most recent call last):
    fedbench.errors.UsageError: method 'mine' has no option 'nu' — its options are: mu
    """
    try:
        return model.model_validate_json(json.dumps(dict(values), default=str))
    except ValidationError as error:
        problem = first_problem(error)
        location, kind = problem["loc"], problem["type"]
        alike = (other for other in error.errors() if other["loc"][:1] == location[:1])
        why = "; ".join(dict.fromkeys(message(other) for other in alike))
        if not location:
            raise UsageError(what, why=why) from error
        option = str(location[0])
        known = f"its options are: {', '.join(model.model_fields) or 'none'}"
        if kind == "extra_forbidden" and len(location) == 1:
            raise UsageError(f"{what} has no option {option!r}", fix=known) from error
        if kind == "missing" and len(location) == 1:
            raise UsageError(f"{what} needs the option {option!r}", fix=known) from error
        raise UsageError(f"{what}: bad value {values[option]!r} for option {option!r}", why=why) from error


def locations(model: type[BaseModel]) -> list[str]:
    """Name the options of ``model`` that are a :data:`Location`, or may be one."""
    return [
        key
        for key, field in model.model_fields.items()
        if _LOCATION in field.metadata
        or any(_LOCATION in getattr(kind, "__metadata__", ()) for kind in get_args(field.annotation))
    ]


def first_problem(error: ValidationError) -> Mapping[str, Any]:
    """The problem to report: an unknown key before anything else, since it may be a missing one mistyped."""
    problems = error.errors(include_url=False)
    return next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])


def message(problem: Mapping[str, Any]) -> str:
    """Pydantic's message of one problem, without its own heading."""
    if problem["type"] == "tuple_type":
        return "Input should be a list such as [1, 2]"
    return str(problem["msg"]).removeprefix("Value error, ")


def described(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Every option with its default and what it may be, as its JSON Schema says."""
    return [
        {
            "option": key,
            "default": schema.get("default"),
            "values": _values(schema),
            "description": schema.get("description", ""),
        }
        for key, schema in model.model_json_schema().get("properties", {}).items()
    ]


def _values(schema: Mapping[str, Any]) -> str:
    """``number ≥ 0, < 1``, ``l2 | sq | cos``, ``integer ≥ 1 | none``."""
    if "anyOf" in schema:
        return " | ".join(_values(inner) for inner in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    kind = {"null": "none", "string": "text"}.get(schema.get("type", "any"), schema.get("type", "any"))
    bounds = [f"{sign} {schema[key]:g}" for key, sign in _BOUNDS.items() if key in schema]
    return f"{kind} {', '.join(bounds)}".strip()


_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
