"""What a record that fits itself is refused for by the other records."""

from pathlib import Path

import numpy as np
import pytest
from records_of_ours import PLACE, PRIMARY, RECORDS, edited, put, scale_cost, values

from fedbench.verification.ladder import Level, verify


def test_other_runs_of_the_seed_share_their_start(catalog, tmp_path):
    """A forger who makes up the untouched start of a run is given away by the others."""
    others = [put(tmp_path, values(p), p) for p in (PLACE.parent.parent.parent / m / "seed-0" / "record.json"
                                                   for m in ("fedprox", "moon", "fedadam"))]  # fmt: skip
    forged = put(tmp_path, edited(lambda r: r["rounds"][0].update(digest="0" * 64)))
    verdicts = verify([*others, forged], catalog)
    assert [v.level.name for v in verdicts] == ["consistent"] * 3 + ["valid"]
    assert verdicts[-1].problem.startswith("the untouched start is not that of the other records")


def test_more_bytes_are_told_by_the_other_seeds(catalog, tmp_path):
    places = [PLACE.parent.parent / f"seed-{seed}" / "record.json" for seed in range(3)]
    paths = [put(tmp_path, values(place), place) for place in places[1:]]
    paths.append(put(tmp_path, edited(lambda r: scale_cost(r, "uplink_bytes", 2)), places[0]))
    assert [(v.level.name, v.problem[:16]) for v in verify(paths, catalog)] == [
        ("consistent", ""), ("consistent", ""), ("valid", "bytes per update")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "scenario", "change", "said"),
    [
        (
            "fedavg", "emoji-tt@1",
            lambda m: m.update(better="lower"), "the items measured is not that of the other records",
        ),
        (
            "reward-fedavg", "prefs-emoji-tasks@1", None, "whether round 0 costs anything is not that of",
        ),
    ],
)  # fmt: skip
def test_what_is_the_same_for_all_is_told_by_the_others(catalog, tmp_path, method, scenario, change, said):
    """A direction that flatters costs and clients; bytes of round 0 that nobody sent."""

    def everywhere_else(record):
        if change is None:
            first = record["rounds"][0]["costs"]
            for name in ("uplink_bytes", "downlink_bytes"):
                record["costs"][name] -= first[name]
                first[name] = 0
            return
        for found in (record["final"], *record["controls"].values()):
            change(found[PRIMARY])
        for entry in record["rounds"]:
            for measure in (entry["metrics"][PRIMARY], *entry["clients"].values()):
                change(measure)
        clients = [client["value"] for client in record["rounds"][-1]["clients"].values()]
        record["spread"].update(worst=max(clients), p10=float(np.percentile(clients, 90)))

    places = [Path(scenario, method, f"seed-{seed}", "record.json") for seed in range(3)]
    paths = [put(tmp_path, values(place), place) for place in places[1:]]
    (alone,) = verify([put(tmp_path / "alone", edited(everywhere_else, places[0]), places[0])], catalog)
    assert (alone.level, alone.problem) == (Level.consistent, "")
    paths.append(put(tmp_path, edited(everywhere_else, places[0]), places[0]))
    *others, forged = verify(paths, catalog)
    assert {v.level for v in others} == {Level.consistent} and forged.problem.startswith(said)


def test_a_method_that_trains_other_numbers_begins_elsewhere(catalog):
    """fed-sb's frozen factors are its own, so its start is no other's."""
    folder = RECORDS / "tune-tasks@1"
    paths = [
        folder / method / "seed-0" / "record.json" for method in ("fedavg", "flora", "hetlora", "fed-sb")
    ]
    assert [verdict.level.name for verdict in verify(paths, catalog)] == ["consistent"] * 4
