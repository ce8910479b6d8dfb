"""What does not add up in a record that was sealed again after an edit: only arithmetic can tell."""

from pathlib import Path

import pytest
from records_of_ours import PRIMARY, assign, edited, everywhere, fewer_examples, scale_cost, values

from fedbench.results.columns import by_round
from fedbench.results.layout import run_id
from fedbench.scenario_files import load_scenario


def _uplink_of_a_round(record):
    record["rounds"][1]["costs"]["uplink_bytes"] //= 2
    record["costs"]["uplink_bytes"] = sum(entry["costs"]["uplink_bytes"] for entry in record["rounds"])


def _no_bytes(record):
    scale_cost(record, "uplink_bytes", 0)
    scale_cost(record, "downlink_bytes", 0)


def _client(record):
    record["rounds"][-1]["clients"]["0"]["value"] = 0.5


def _rounds_away(record):
    del record["rounds"][-3:]
    totals = [entry["costs"] for entry in record["rounds"]]
    record["costs"] = {name: sum(costs[name] for costs in totals) for name in totals[0]}


def _twin_round(record):
    record["rounds"][5]["digest"] = record["rounds"][4]["digest"]


def _cohort(record):
    record["rounds"][2]["cohort"] = [0, 1, 2, 3]


def _fewer_bytes_than_parameters(record):
    scale_cost(record, "uplink_bytes", 0.5)
    scale_cost(record, "downlink_bytes", 0.5)


PARAMETERS = 78272


def _declares(record, params=PARAMETERS, **beside):
    """Say what travelled, as a run does."""
    numbers = {"params": params, **beside}
    shares = {"personalised": False, "shares": [1.0], "shares_at_end": []}
    record["contract"] = {"needs": "sum", "down": {"params": params}, "up": numbers, **shares}


def _another_share(record):
    _declares(record)
    record["contract"]["shares_at_end"] = [1.0]


def _half_of_the_parameters(record):
    _fewer_bytes_than_parameters(record)
    _declares(record, PARAMETERS // 2)


NOT_CONSISTENT = {
    "a metric at the end only": (
        lambda r: assign(r, ["final", PRIMARY, "value"], 400 / 476),
        f"{PRIMARY} at the end is not that of the last round",
    ),
    "a metric that no count gives": (
        lambda r: everywhere(r, 0.9), "is 0.9, which is not a count out of 476",
    ),
    "a metric that its clients do not give": (
        lambda r: everywhere(r, 400 / 476), f"round 10: {PRIMARY} is 0.840336, its clients' items give",
    ),
    "a metric above one": (
        lambda r: assign(r, ["final", "unseen-concept/yesno/f1", "value"], 1.5), "is 1.5, not a share",
    ),
    "a metric of 1e12": (lambda r: everywhere(r, 1e12), "is 1e+12, not a share"),
    "a client's metric": (_client, "spread.mean is 0.572177, its clients give 0.54637"),
    "the worst client": (lambda r: r["spread"].update(worst=0.6), "spread.worst is 0.6, its clients give"),
    "a metric that was not asked for": (
        lambda r: r["final"].update({"luck/all/accuracy": r["final"][PRIMARY]}),
        "at the end: its scenario does not ask for luck/all",
    ),
    "a metric that is missing": (
        lambda r: [r["rounds"][4]["metrics"].pop(name) for name in list(r["rounds"][4]["metrics"])],
        "round 4: unseen-concept/category was not measured",
    ),
    "a control that is missing": (
        lambda r: r.update(controls={}), "its controls are none, not the scenario's",
    ),
    "parameters twice": (_twin_round, "rounds 4 and 5 have the same parameters but other measures"),
    "a cost in total": (
        lambda r: r["costs"].update(uplink_bytes=1), "costs.uplink_bytes is 1, its rounds add up to",
    ),
    "a cost of a round": (_uplink_of_a_round, "uplink_bytes per client that trained differ between rounds"),
    "a cost of all rounds": (
        _fewer_bytes_than_parameters,
        "uplink_bytes per client that trained is 156544; the parameters alone are 313088",
    ),
    "a cost that is no number of numbers": (
        lambda r: scale_cost(r, "uplink_bytes", 1.000003), "uplink_bytes per client that trained is",
    ),
    "numbers that were sent for nothing": (
        lambda r: _declares(r, control=78272),
        "round 1: 1565440 uplink_bytes; by what the method declares 5 clients that trained have 3130880",
    ),
    "parameters that stay though all have one model": (
        _half_of_the_parameters, "39136 of its 78272 parameters travel, but its clients have one model",
    ),
    "a phase that nobody trained in": (_another_share, "client_examples, scenario and seed give"),
    "no bytes at all": (_no_bytes, "its clients learn from each other, but no byte was sent"),
    "no bytes down": (
        lambda r: scale_cost(r, "downlink_bytes", 0), "it sends parameters that nobody was given",
    ),
    "examples": (fewer_examples, "client_examples, scenario and seed give"),
    "seconds": (
        lambda r: r.update(wall_seconds=0.5), "wall_seconds is 0.5, its rounds alone took",
    ),
    "seconds that were not there": (
        lambda r: r.update(wall_seconds=9999.0), "wall_seconds is 9999.0, between start and finish lie",
    ),
    "fewer rounds": (_rounds_away, "it has 7 of 10 rounds, and no budget ended it"),
    "a budget that is none": (
        lambda r: r.update(stopped="budget: 5 examples"),
        "it says that a budget ended it, but no round is missing",
    ),
    "rounds in another order": (
        lambda r: r["rounds"].reverse(), "its rounds are not numbered from 0 on",
    ),
    "round numbers beyond all rounds": (
        lambda r: r["rounds"][-1].update(round=10**9), "its rounds are not numbered from 0 on",
    ),
    "a cohort": (_cohort, "round 2: cohort is not what scenario and seed give"),
    "somebody left out": (
        lambda r: r["rounds"][2].update(left_out={"1": "dropped out"}),
        "round 2: left_out is not what scenario and seed give",
    ),
    "a client too few": (
        lambda r: r["data"]["client_examples"].pop(), "its clients are not the scenario's 5",
    ),
    "another unit at the end": (
        lambda r: r["final"][PRIMARY].update(value=1.5, unit="points"),
        "at the end: unseen-concept/category/accuracy has another unit or direction than elsewhere",
    ),
    "another direction at the end": (
        lambda r: r["final"][PRIMARY].update(better="lower"),
        "has another unit or direction than elsewhere",
    ),
    "another backbone": (
        lambda r: r["data"].update(backbone_fingerprint="0" * 64),
        "its backbone is not the one that the scenario pins",
    ),
    "a moment that is none": (lambda r: r.update(started="yesterday"), "started or finished is not a moment"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), NOT_CONSISTENT.values(), ids=NOT_CONSISTENT.keys())
def test_what_does_not_add_up(verdict_of, change, said):
    """Sealed again after the edit: only arithmetic can tell."""
    level, problem = verdict_of(edited(change))
    assert (level, said in problem) == ("valid", True), problem


def test_bytes_that_are_what_the_method_declares_add_up(verdict_of):
    assert verdict_of(edited(_declares)) == ("consistent", "")


def test_faults_are_drawn_again(verdict_of):
    """Who dropped out or came late follows from scenario and seed; so does who attacks."""
    place = Path("emoji-faulty@1", "fedavg", "seed-0", "record.json")
    assert verdict_of(values(place), place)[0] == "consistent"
    faulty = values(place)
    number = next(i for i, entry in enumerate(by_round(faulty["rounds"])) if entry["left_out"])
    level, problem = verdict_of(edited(lambda r: r["rounds"][number].update(left_out={}), place), place)
    assert (level, problem) == ("valid", f"round {number}: left_out is not what scenario and seed give")
    place = Path("emoji-byzantine@1", "fedavg", "seed-0", "record.json")
    level, problem = verdict_of(edited(lambda r: r["rounds"][1].update(attackers=[]), place), place)
    assert (level, problem) == ("valid", "round 1: attackers is not what scenario and seed give")


@pytest.mark.parametrize("name", ["miracle", "centralized"])
def test_pooling_is_for_the_anchor(verdict_of, name):
    """A copy of centralized's record as another plugin's, with everything that names it made to fit."""

    def renamed(record):
        record["method"].update(name=name)
        record["method"]["provider"].update(plugin="miracle", distribution="miracle", version="1.0")
        record["run_id"] = run_id(record["scenario"]["fingerprint"], name, "miracle", {}, record["seed"])

    place = Path("emoji-tt@1", "centralized", "seed-0", "record.json")
    assert verdict_of(edited(renamed, place), Path("emoji-tt@1", "miracle", "seed-0", "record.json")) == (
        "valid", "it trains on all clients' data in one place, which is for the installed centralized only"
    )  # fmt: skip


def test_a_plan_without_end_is_not_drawn(verdict_of, catalog):
    changes = {"federation.rounds": 10**9, "budget.examples": 1}
    changed = load_scenario(catalog.scenarios["emoji-tt"].spec.path, changes)

    def change(record):
        record["scenario"].update(changes=changes, fingerprint=changed.fingerprint)
        record.update(rounds=record["rounds"][:2], stopped="budget: 1 examples")
        record["run_id"] = run_id(changed.fingerprint, "fedavg", "baselines", {}, record["seed"])

    assert verdict_of(edited(change)) == (
        "valid", "it is too large to check: 1000000000 rounds of 5 clients"
    )  # fmt: skip


def test_a_forgery_that_fits_itself_takes_a_replay(verdict_of):
    """What arithmetic can't tell: the same item more for one client, the whole and the spread, all sealed."""

    def forge(record):
        last = record["rounds"][-1]
        for client in last["clients"].values():
            client["value"] = 1.0
            client["se"] = 0.0
        for found in (last["metrics"], record["final"]):
            found[PRIMARY].update(value=1.0, se=0.0)
        record["spread"] = {"mean": 1.0, "worst": 1.0, "p10": 1.0}

    assert verdict_of(edited(forge)) == ("consistent", "")
