"""Real records from ``leaderboards/records``, and what somebody might make of them."""

import json
from copy import deepcopy
from pathlib import Path

from fedbench.results.columns import by_column, by_round
from fedbench.results.layout import run_id
from fedbench.results.migrations import migrate
from fedbench.results.parsing import content_id

RECORDS = Path(__file__).parent.parent / "leaderboards" / "records"
PLACE = Path("emoji-tt@1", "fedavg", "seed-0", "record.json")
PRIMARY = "unseen-concept/category/accuracy"
BOARD = """\
name = "small"
title = "Small"
summary = "one scenario"
track = "alignment"
scenarios = ["emoji-tt@1"]
"""
"""A board file of one scenario, whose name is ``small``."""


def values(place=PLACE):
    """A record's JSON in today's schema version."""
    return dict(migrate(json.loads((RECORDS / place).read_text())))


def sealed(record):
    """With the hash of its content: whoever edits a record can do that, too."""
    return record | {"record_id": content_id(record)}


def edited(change, place=PLACE, seal=True):
    """A copy of a record after ``change`` was made to it, its rounds as a run has them."""

    def by_rounds(record):
        record["rounds"] = by_round(record["rounds"])
        change(record)
        record["rounds"] = by_column(record["rounds"])

    return filed(by_rounds, place, seal)


def filed(change, place=PLACE, seal=True):
    """A copy of a record after ``change`` was made to it as its file has it."""
    record = deepcopy(values(place))
    change(record)
    return sealed(record) if seal else record


def put(folder, record, place=PLACE):
    """Write a record where it says it belongs."""
    path = Path(folder) / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    return path


def assign(record, path, value):
    """Set what lies at ``path``, a list of keys."""
    *outer, last = path
    for key in outer:
        record = record[key]
    record[last] = value


def everywhere(record, value):
    """Set the last round's primary measure, and its copy at the end."""
    for found in (record["rounds"][-1]["metrics"], record["final"]):
        found[PRIMARY]["value"] = value


def of_version(number):
    """A change that makes a record one of another version of its scenario."""
    return lambda record: record["scenario"].update(version=number)


def scale_cost(record, name, factor):
    """Scale a cost of every round, and make the total fit."""
    for entry in record["rounds"]:
        entry["costs"][name] = int(entry["costs"][name] * factor)
    record["costs"][name] = sum(entry["costs"][name] for entry in record["rounds"])


def fewer_examples(record):
    """Take 100 examples from round 1, and from the total."""
    record["rounds"][1]["costs"]["client_examples"] -= 100
    record["costs"]["client_examples"] -= 100


PROX = Path("emoji-tt@1", "fedprox", "seed-0", "record.json")


def proximal(options, version=None):
    """FedProx's record with other options, perhaps of another version of the method."""

    def change(record):
        record["method"].update(options=options)
        fingerprint = record["scenario"]["fingerprint"]
        record["run_id"] = run_id(fingerprint, "fedprox", "baselines", options, record["seed"])
        if version:
            record["method"]["provider"].update(version=version)

    return edited(change, PROX)
