"""What does not add up in rounds in which rewards travel."""

from pathlib import Path

import pytest
from records_of_ours import assign, edited, fewer_examples

FUSED = Path("prefs-emoji-tasks@1", "mor", "seed-0", "record.json")


def _first(record):
    return record["rounds"][1]


def _cost_of_a_round(name, factor):
    def change(record):
        _first(record)["costs"][name] = int(factor * _first(record)["costs"][name])
        record["costs"][name] = sum(entry["costs"][name] for entry in record["rounds"])

    return change


def _fitted_for_nothing(record):
    record["costs"]["client_examples"] -= record["rounds"][0]["costs"]["client_examples"]
    record["rounds"][0]["costs"]["client_examples"] = 0


def _trained_on_the_way(record):
    _first(record)["costs"]["client_examples"] += 10
    record["costs"]["client_examples"] += 10


def _asked_friends(record):
    """Judges that the engine does not know, whom asking costs nothing."""
    for entry in record["rounds"]:
        if asked := entry["diagnostics"].get("queried"):
            entry["diagnostics"]["queried"] = {
                name.replace("client", "friend"): n for name, n in asked.items()
            }
        entry["cohort"] = []
        entry["costs"].update(uplink_bytes=0, downlink_bytes=0)
    record["costs"].update(uplink_bytes=0, downlink_bytes=0)


def _figure(name, value):
    return lambda record: assign(_first(record), ["metrics", name, "value"], value)


NOT_FUSED_SO = {
    "fewer bytes up": (_cost_of_a_round("uplink_bytes", 0.5), "800 uplink_bytes, 400 rewards are 1600"),
    "no bytes down": (_cost_of_a_round("downlink_bytes", 0), "0 downlink_bytes for 400 answers"),
    "fewer asked": (
        lambda r: _first(r)["diagnostics"]["queried"].update({"client 0": 0}), "1600 uplink_bytes, ",
    ),
    "more asked than answered": (
        lambda r: _first(r)["diagnostics"]["queried"].update({"client 0": 500}),
        "somebody was asked about 500 answers, the policy wrote 400 at most",
    ),
    "nobody says who was asked": (
        lambda r: _first(r)["diagnostics"].pop("queried"), "it does not say whom it asked",
    ),
    "nobody was asked": (
        lambda r: _first(r)["diagnostics"].update(queried={}), "it does not say whom it asked",
    ),
    "others were asked in another round": (
        lambda r: r["rounds"][2]["diagnostics"]["queried"].pop("client 0"),
        "round 2: it does not say whom it asked",
    ),
    "the true reward": (
        lambda r: [entry["diagnostics"]["queried"].update(gold=0) for entry in r["rounds"][1:]],
        "it asks for the true reward, which is for the installed gold-reward only",
    ),
    "asked is a text": (
        lambda r: _first(r)["diagnostics"].update(queried="everybody"), "it does not say whom it asked",
    ),
    "a client that is none": (
        lambda r: _first(r)["diagnostics"]["queried"].update({"client 7": 0}), "it asked client 7 of 3",
    ),
    "a cohort": (lambda r: _first(r).update(cohort=[0, 1]), "its cohort is not whom it asked"),
    "an attacker": (
        lambda r: _first(r).update(attackers=[1]), "attackers is not what scenario and seed give",
    ),
    "somebody silent": (
        lambda r: _first(r).update(left_out={"1": "late in 3 of 10 steps"}),
        "client 1 is late in 3 steps, scenario and seed give 0",
    ),
    "somebody silent for another reason": (
        lambda r: _first(r).update(left_out={"1": "on holiday"}), "left_out is not what a run says",
    ),
    "silence that cost nothing": (
        lambda r: (
            _first(r).update(left_out={"1": "not finite in 1 of 10 steps"}),
            _cost_of_a_round("uplink_bytes", 0.5)(r),
        ),
        "800 uplink_bytes, 400 rewards are 1600",
    ),
    "silence in no step": (
        lambda r: _first(r).update(left_out={"1": "not finite in 0 of 10 steps"}),
        "client 1 is not finite in 0 steps, scenario and seed give 10",
    ),
    "a byte for all images": (_cost_of_a_round("downlink_bytes", 1e-6), "downlink_bytes for 400 answers"),
    "somebody whose number has 5000 digits": (
        lambda r: _first(r).update(left_out={"9" * 5000: "late in 1 of 10 steps"}),
        "left_out is not what a run says",
    ),
    "judges that nobody knows": (_asked_friends, "it asks friend 0, who is no client, their average or"),
    "training on the way": (_trained_on_the_way, "10 client_examples, but clients only answer"),
    "reward models for nothing": (
        _fitted_for_nothing, "round 0: 0 client_examples, fitting the clients' reward models takes 4800",
    ),
    "a gold reward above one": (_figure("policy/gold", 1.1), "policy/gold is 1.1, not a share"),
    "answers that are too long": (
        _figure("policy/tokens", 13), "policy/tokens is 13, an answer has 12 at most",
    ),
    "a KL below zero": (_figure("policy/kl", -0.1), "policy/kl is -0.1, its estimator is never negative"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), NOT_FUSED_SO.values(), ids=NOT_FUSED_SO.keys())
def test_what_does_not_add_up_in_policy_rounds(verdict_of, change, said):
    level, problem = verdict_of(edited(change, FUSED), FUSED)
    assert (level, said in problem) == ("valid", True), problem


def test_an_exchange_of_the_policy_is_checked_like_any_other(verdict_of):
    place = FUSED.parents[2] / "fedavg-dpo" / "seed-0" / "record.json"
    level, problem = verdict_of(edited(fewer_examples, place), place)
    assert level == "valid" and "client_examples, scenario and seed give" in problem
