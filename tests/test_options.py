"""Options as text: what a record's command names is read as the very value."""

import pytest

from fedbench.api.options import format_value, parse_value

VALUES = [
    *[0, -3, 1.5, 1e-30, 10**20, True, False, None, [], [1, 2.5, "a"], [None, True], [[1], []], {}],
    *[{"ward a": ["x", "y"], "b": {"c": None}}, [{"architecture": "vlm"}]],
    *[
        "",
        "plain",
        "none",
        "None",
        "true",
        "True",
        "3",
        "1e-3",
        "[1, 2]",
        "[1",
        "{",
        '"',
        "null",
        "a = 1",
        "é\n'",
    ],
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_read_as_it_was_written(value):
    again = parse_value(format_value(value))
    assert again == value and type(again) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x10", 16),
        ("1_000", 1000),
        ("{ a = 1 }", {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        ("null", "null"),
        ("[NaN", "[NaN"),
        ("red", "red"),
    ],
)
def test_what_a_person_types(text, value):
    assert parse_value(text) == value
