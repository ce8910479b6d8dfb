"""Rounds by column: the same rounds in memory, a table in the file, and no number changed on the way."""

import numpy as np
import pytest
from conftest import example_record

from fedbench.api.metrics import Costs, Measure
from fedbench.results.columns import by_column, by_round
from fedbench.results.formatting import record_text
from fedbench.results.parsing import parse
from fedbench.results.records import Record, RoundEntry, Spread
from fedbench.results.store import read_record, write_record
from fedbench.rng import numpy_stream

DIGEST = "0" * 64


def share(value, n=100, se=0.01):
    return Measure(value, se, n, "share")


def rounds(*measured, clients=()):
    """A round for each of ``measured`` and of ``clients``."""
    return [
        RoundEntry(round=number, digest=DIGEST, metrics=metrics, clients=dict(enumerated))
        for number, (metrics, enumerated) in enumerate(
            zip(measured, clients or [{}] * len(measured), strict=True)
        )
    ]


def there_and_back(entries):
    """The table of the rounds, after it has been checked that the rounds come back."""
    plain = [entry.model_dump(mode="json") for entry in entries]
    table = by_column(plain)
    assert by_round(table) == plain
    assert example_record(rounds=table).rounds == entries
    return table


def test_shares_that_counts_give_are_counts_and_other_values_stay():
    third, odd = 1 / 3, 0.1 + 0.2
    table = there_and_back(
        rounds(
            {"a/b/hits": share(third, 3), "a/b/odd": share(odd, 3), "a/b/nll": Measure(2.0, None, 1, "nats")},
            {"a/b/hits": share(1.0, 3), "a/b/odd": share(0.0, 3), "a/b/nll": Measure(1.0, None, 1, "nats")},
        )
    )["metrics"]
    assert table["a/b/hits"]["counts"] == [1, 3] and "values" not in table["a/b/hits"]
    assert table["a/b/odd"]["values"] == [odd, 0.0]
    assert table["a/b/nll"] == {
        "unit": "nats", "better": "higher", "n": 1, "values": [2.0, 1.0], "ses": [None, None]
    }  # fmt: skip


@pytest.mark.parametrize("value", [-0.0, 5e-324, 0.3333333333333333, 0.33333333333333337, 1 - 2**-53])
@pytest.mark.parametrize("n", [1, 3, 7919])
def test_a_value_comes_back_to_the_last_bit(value, n):
    entries = rounds({"a/b/c": share(value, n)})
    (entry,) = by_round(by_column([entry.model_dump(mode="json") for entry in entries]))
    assert entry["metrics"]["a/b/c"]["value"].hex() == value.hex()


def test_what_was_not_measured_in_a_round_is_missing_there():
    table = there_and_back(
        rounds({}, {"a/b/c": share(0.5)}, {}, clients=[{"3": share(0.5, 2)}, {}, {"3": share(1.0, 2)}])
    )
    assert table["metrics"]["a/b/c"]["counts"] == [None, 50, None]
    assert table["clients"]["columns"] == {"3": {"n": 2, "counts": [1, None, 2], "ses": [0.01, None, 0.01]}}


def test_items_that_change_between_rounds_are_said_for_each():
    table = there_and_back(rounds({"a/b/c": share(0.5, 2)}, {}, {"a/b/c": share(0.5, 4)}))
    assert table["metrics"]["a/b/c"]["n"] == [2, None, 4]


def test_a_line_leaves_out_what_is_empty_and_costs_are_columns():
    entry = RoundEntry(round=0, digest=DIGEST, costs=Costs(uplink_bytes=3), cohort=[1], loss=0.5)
    table = there_and_back([entry, RoundEntry(round=1, digest=DIGEST)])
    assert table["log"] == [
        {"round": 0, "cohort": [1], "loss": 0.5, "digest": DIGEST}, {"round": 1, "digest": DIGEST}
    ]  # fmt: skip
    assert table["costs"]["uplink_bytes"] == [3, 0] and table["clients"] is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("clients"), "clients Field required"),
        (lambda t: t.update(luck=1), "luck Extra inputs are not permitted"),
        (lambda t: t["costs"]["uplink_bytes"].pop(), "uplink_bytes has 1 values for 2 rounds"),
        (lambda t: t["costs"]["uplink_bytes"].__setitem__(0, "3"), "should be a valid integer"),
        (lambda t: t["metrics"]["a/b/c"].update(n=0), "counts of no items"),
        (lambda t: t["metrics"]["a/b/c"].update(n=[1]), "n and values are of different rounds"),
        (lambda t: t["metrics"]["a/b/c"].update(values=[0.5, 0.5]), "either counts or values"),
        (lambda t: t["metrics"]["a/b/c"].update(luck=1), "luck Extra inputs are not permitted"),
        (lambda t: t["metrics"]["a/b/c"]["ses"].pop(), "2 values with 1 standard errors"),
        (lambda t: t["clients"]["columns"]["0"].update(counts=[1], ses=[0.1]), "client 0 has 1 values for 2"),
        (lambda t: t["log"].pop(), "has 2 values for 1 rounds"),
        (lambda t: t["log"][1].pop("digest"), "digest Field required"),
        (lambda t: t.update(log="many"), "should be a valid list"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused_in_one_line(tmp_path, change, said):
    measured = {"a/b/c": share(0.5)}
    record = example_record(rounds=rounds(measured, measured, clients=[{"0": share(0.5)}] * 2))
    values = record.model_dump(mode="json")
    change(values["rounds"])
    path = tmp_path / "record.json"
    path.write_text(record_text(values))
    with pytest.raises(Exception, match=said) as error:
        read_record(path)
    assert str(error.value).startswith(f"not a fedbench record in {path}: rounds") and "\n" not in str(
        error.value
    )


def test_a_records_text_has_a_line_for_each_round_measure_and_client(tmp_path):
    measured = {f"suite/{name}/accuracy": share(0.5) for name in "abc"}
    clients = {str(k): share(0.25, 4) for k in range(9)}
    record = example_record(rounds=rounds(*[measured] * 5, clients=[clients] * 5)).sealed()
    path = write_record(tmp_path, record)
    text = path.read_text()
    assert read_record(path) == record and parse(text.encode()) == record.model_dump(mode="json")
    lines = [line.strip() for line in text.splitlines()]
    assert sum(line.startswith('{"round":') for line in lines) == 5
    assert sum(line.startswith('"suite/') and '"counts":[50,50,50,50,50]' in line for line in lines) == 3
    assert sum('"counts":[1,1,1,1,1]' in line for line in lines) == 9
    assert '"seed":0,' in lines


def test_a_hundred_clients_over_thirty_rounds_take_kilobytes():
    clients = {str(k): share(k / 100, 100, se=0.05) for k in range(100)}
    record = example_record(rounds=rounds(*[{}] * 30, clients=[clients] * 30))
    assert len(record_text(record.model_dump(mode="json"))) < 40_000


def test_a_spread_is_of_clients_and_counts_from_the_bad_end():
    clients = {str(k): share(k / 10, 10) for k in range(11)}
    assert Spread.of(clients) == Spread(mean=0.5, worst=0.0, p10=0.1)
    worse = {k: Measure(m.value, None, 10, "nats", "lower") for k, m in clients.items()}
    assert Spread.of(worse) == Spread(mean=0.5, worst=1.0, p10=0.9)
    assert Spread.of({}) is None


def test_the_spreads_of_rounds_are_those_of_each_round_to_the_bit():
    drawn = numpy_stream(0, "spreads")
    rounds = [
        {str(k): share(drawn.random(), 10) for k in range(count)} for count in (1, 2, 5, 5, 0, 97, 5, 97, 8)
    ]
    alone = [np.array([m.value for m in clients.values()]) for clients in rounds]
    expected = [
        Spread(mean=float(v.mean()), worst=float(v.min()), p10=float(np.percentile(v, 10)))
        if len(v)
        else None
        for v in alone
    ]
    assert Spread.each(rounds) == expected == [Spread.of(clients) for clients in rounds]


def test_the_file_is_described_as_it_is_written():
    definitions = Record.model_json_schema()["$defs"]
    assert {"RoundTable", "Column", "CostColumns", "ItemScores", "Identity"} <= set(definitions)
    undocumented = [
        f"{name}.{field}"
        for name, part in {**definitions, "Record": Record.model_json_schema()}.items()
        if name not in ("Costs", "Measure")
        for field, schema in part["properties"].items()
        if "description" not in schema
    ]
    assert not undocumented
