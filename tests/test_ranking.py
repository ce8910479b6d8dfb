"""From records to standings: ranks, gaps, what counts and what does not."""

from dataclasses import replace

import pytest
from conftest import example_record

from fedbench.api.metrics import Costs, Measure
from fedbench.leaderboard.boards import Board, Published
from fedbench.leaderboard.contest import BoardScenario, Contest, InstalledMethod
from fedbench.leaderboard.ranking import rank
from fedbench.leaderboard.standings import THRESHOLDS
from fedbench.leaderboard.tables import document, headings, overall
from fedbench.results.anchors import ANCHORS
from fedbench.results.run_summary import run_of
from fedbench.verification.ladder import Level

METRIC = "unseen/category/accuracy"
ANCHOR_VALUES = {"start": 0.1, "local": 0.3, "centralized": 0.9, "fedavg": 0.5}


def board(**changes):
    fields = {
        "name": "toy", "title": "Toy", "summary": "for tests", "track": "alignment",
        "scenarios": ["made-up"], "seeds": [0, 1, 2, 3], "least_seeds": 3,
    } | changes  # fmt: skip
    return Board.model_validate(fields)


def contest(*, scenarios=("made-up",), methods=("own",), **changes):
    """A board whose scenarios and methods count as installed."""
    found = board(scenarios=scenarios, **changes)
    names = [*ANCHOR_VALUES, *methods]
    known = {
        (name, "baselines"): InstalledMethod(name, "baselines", "fedbench-suite", "0.1.0", "does", "", {})
        for name in names
    }
    if "own" in methods:
        known["own", "baselines"] = replace(known["own", "baselines"], defaults={"mu": 0.1})
    return Contest(
        board=found,
        anchors=found.anchors or ANCHORS[found.track],
        scenarios=tuple(BoardScenario(name, f"{name}@1", "", _print(name), METRIC) for name in scenarios),
        methods=known,
    )


def _print(scenario):
    return (scenario * 64)[:64]


def run(method, seed, value, scenario="made-up", *, options=None, start=0.1, better="higher", **changes):
    """A run from ``start`` to ``value`` in one round."""

    def measured(value):
        return {METRIC: Measure(value, 0.01, 100, "share", better)}

    record = example_record(
        method, seed, value,
        rounds=[
            {"round": 0, "digest": "0" * 64, "metrics": measured(start)},
            {"round": 1, "digest": "1" * 64, "metrics": measured(value), "costs": Costs(2_000_000, 1, 5)},
        ],
        final=measured(value),
    )  # fmt: skip
    record = record.model_copy(
        update={
            "scenario": record.scenario.model_copy(
                update={"name": scenario, "fingerprint": _print(scenario)}
            ),
            "method": record.method.model_copy(update={"options": options or {}}),
            **changes,
        }
    )
    return run_of(record.sealed())


def anchors(scenario="made-up", seeds=range(3), **changes):
    return [
        run(name, seed, value + 0.01 * seed * (name != "start"), scenario, **changes)
        for name, value in ANCHOR_VALUES.items()
        for seed in seeds
    ]


def runs(method, values, scenario="made-up", **changes):
    return [run(method, seed, value, scenario, **changes) for seed, value in enumerate(values)]


def ranks(standings):
    return {row.contender.label: row.rank for row in standings.rows}


def test_who_can_not_be_told_apart_shares_a_rank():
    found = rank(
        contest(methods=("best", "noisy", "worse")),
        [
            *anchors(seeds=range(4)),
            *runs("best", [0.80, 0.82, 0.81, 0.80]),
            *runs("noisy", [0.90, 0.60, 0.85, 0.70]),
            *runs("worse", [0.40, 0.42, 0.41, 0.40]),
        ],
    )
    assert ranks(found) == {
        "best": 1, "noisy": 1, "fedavg": 3, "worse": 4, "start": None, "local": None, "centralized": None
    }  # fmt: skip
    assert [row.contender.anchor for row in found.rows if row.rank is None] == [True] * 3
    assert not any(row.reason for row in found.rows)


def test_the_headline_is_the_share_of_the_gap_by_seed():
    found = rank(contest(), [*anchors(), *runs("own", [0.5, 0.51, 0.52])])
    row = next(row for row in found.rows if row.contender.method == "own")
    expected = [(0.5 + 0.01 * s - 0.1) / (0.9 + 0.01 * s - 0.1) for s in range(3)]
    assert [row.gaps[seed] for seed in range(3)] == pytest.approx(expected)
    assert row.gap.mean == pytest.approx(sum(expected) / 3) and row.gap.low < row.gap.mean < row.gap.high
    ceiling = next(row for row in found.rows if row.contender.method == "centralized")
    assert (ceiling.gap.low, ceiling.gap.mean, ceiling.gap.high) == (1, 1, 1)
    assert [s.target for s in found.scenarios] == [pytest.approx((0.1 + 0.91) / 2)]


def test_a_gap_is_closed_from_the_anchors_start():
    """What a record says of its own start moves nothing."""
    found = rank(contest(), [*anchors(), *runs("own", [0.5] * 3, start=0.0)])
    (row,) = [row for row in found.rows if row.contender.method == "own"]
    assert row.gaps[0] == pytest.approx((0.5 - 0.1) / (0.9 - 0.1))


def test_pictures_and_values_are_about_the_same_runs():
    """Of seeds that the anchors have: the others are listed, and count for nothing."""
    found = rank(contest(), [*anchors(), *runs("own", [0.7] * 4)])
    (row,) = [row for row in found.rows if row.contender.method == "own"]
    (score,) = row.scores.values()
    assert [run.seed for run in score.runs] == [0, 1, 2, 3]
    assert tuple(run.seed for run in score.counted) == score.summary.seeds == (0, 1, 2)


def test_less_can_be_better():
    lower = {"better": "lower", "start": 5.0}
    found = rank(
        contest(methods=("own", "other")),
        [
            *(run(name, seed, value, **lower) for name, value in
              {"start": 5.0, "local": 3.0, "centralized": 1.0, "fedavg": 2.0}.items() for seed in range(3)),
            *runs("own", [1.5, 1.51, 1.52], **lower), *runs("other", [3.0, 3.1, 3.0], **lower),
        ],
    )  # fmt: skip
    assert ranks(found)["own"] == 1 and ranks(found)["fedavg"] == 2 and ranks(found)["other"] == 3
    (standing,) = found.scenarios
    assert [score.contender.method for score in standing.scores] == [
        "centralized", "own", "fedavg", "local", "other", "start"
    ]  # fmt: skip


def test_too_few_seeds_are_listed_without_a_rank():
    found = rank(contest(), [*anchors(), *runs("own", [0.8, 0.8])])
    assert found.rows[-1].contender.method == "own"
    assert (found.rows[-1].rank, found.rows[-1].reason) == (None, "2 of 3 seeds")


def test_fewer_seeds_than_the_anchors_have_win_nothing():
    """Three seeds make wide intervals, which are hard to tell from the best: that would be a shared rank."""
    values = [0.70, 0.66, 0.74, 0.70]
    given = [*anchors(seeds=range(4)), *runs("best", [0.75, 0.76, 0.75, 0.76]), *runs("own", values[:3])]
    (row,) = [
        row for row in rank(contest(methods=("own", "best")), given).rows if row.contender.method == "own"
    ]
    assert (row.rank, row.reason) == (None, "3 of 4 seeds")


def test_a_row_needs_only_the_seeds_that_all_scenarios_have():
    """Anchors that are ahead on one scenario take nobody's place in the row over both."""
    given = [*anchors(seeds=range(4)), *anchors("other"),
             *runs("own", [0.7] * 3), *runs("own", [0.7] * 3, "other")]  # fmt: skip
    found = rank(contest(scenarios=("made-up", "other")), given)
    (row,) = [row for row in found.rows if row.contender.method == "own"]
    assert (row.rank, row.missing, row.gap.mean) == (1, (), pytest.approx(0.74, abs=0.01))
    assert row.scores["made-up@1"].reason == "3 of 4 seeds" and row.scores["made-up@1"].rank is None


def test_rows_are_compared_on_the_seeds_that_all_scenarios_have():
    given = [
        *anchors(seeds=range(4)), *anchors("other"),
        *runs("own", [0.7] * 4), *runs("own", [0.7] * 3, "other"), *runs("half", [0.7] * 4),
    ]  # fmt: skip
    found = rank(contest(scenarios=("made-up", "other"), methods=("own", "half")), given)
    assert {row.seeds for row in found.rows} == {(0, 1, 2)}
    assert ranks(found)["own"] == 1 and ranks(found)["half"] > 1
    assert [standing.seeds for standing in found.scenarios] == [(0, 1, 2, 3), (0, 1, 2)]


def test_chosen_seeds_do_not_count():
    """Of seeds 1, 2 and 3 none counts, since 0 is missing; seed 9 is not the board's."""
    mine = [run("own", seed, 0.8) for seed in (1, 2, 3, 9)]
    found = rank(contest(), [*anchors(), *mine])
    assert "own" not in ranks(found)
    assert {item.run.seed: item.why for item in found.left_out} == {
        **dict.fromkeys((1, 2, 3), "seed 0 is missing, and seeds after a gap may be chosen ones"),
        9: "seed 9 is not one of the board's",
    }


def test_seeds_up_to_the_first_gap_count():
    mine = [run("own", seed, 0.8) for seed in (0, 1, 3)]
    found = rank(contest(least_seeds=2), [*anchors(seeds=range(2)), *mine])
    (row,) = [row for row in found.rows if row.contender.method == "own"]
    assert row.seeds == (0, 1) and row.rank == 1
    assert [(item.run.seed, item.why[:17]) for item in found.left_out] == [(3, "seed 2 is missing")]


@pytest.mark.parametrize("missing", ANCHOR_VALUES)
def test_without_its_anchors_nobody_is_ranked(missing):
    there = [r for r in anchors() if r.method.name != missing or r.seed == 0]
    found = rank(contest(), [*there, *runs("own", [0.8, 0.8, 0.8])])
    assert found.open == () and not any(row.rank for row in found.rows)
    assert found.scenarios[0].problem == f"anchors without seeds 0, 1, 2: {missing}"
    (row,) = [row for row in found.rows if row.contender.method == "own"]
    assert row.reason == found.scenarios[0].problem


def test_an_anchor_is_the_installed_one_with_its_defaults():
    """Somebody else's ``centralized``, or a crippled one, is no ceiling."""
    real = [r for r in anchors() if r.method.name != "centralized"]
    crippled = runs("centralized", [0.2] * 4, options={"lr": 0})
    found = rank(contest(), [*real, *crippled, *runs("own", [0.8] * 3)])
    assert "centralized" in found.scenarios[0].problem
    assert not [
        row for row in found.rows if row.contender.label == "centralized lr=0" and row.contender.anchor
    ]


def test_a_scenario_that_was_not_run_counts_as_not_reached():
    two = ("made-up", "other")
    found = rank(
        contest(scenarios=two, methods=("both", "one")),
        [
            *anchors(), *anchors("other"),
            *runs("both", [0.7, 0.71, 0.7]), *runs("both", [0.7, 0.71, 0.7], "other"),
            *runs("one", [0.9, 0.91, 0.92]),
        ],
    )  # fmt: skip
    rows = {row.contender.method: row for row in found.rows}
    assert rows["one"].missing == ("other@1",) and rows["both"].missing == ()
    assert rows["one"].gap.mean == pytest.approx(0.5) and rows["both"].rank < rows["one"].rank
    assert rows["one"].profile[THRESHOLDS.index(0.9)] == 0.5 and rows["both"].profile[0] == 1.0


@pytest.mark.parametrize("others", [[], [0.01, 0.01, 0.01]], ids=["alone", "beside a worse one"])
def test_leaving_a_scenario_out_never_pays(others):
    """What ends below the start closed nothing, as what was not run."""
    two = ("made-up", "other")
    shared = [*anchors(), *anchors("other"), *runs("worse", others, "other"), *runs("own", [0.7] * 3)]
    outright = [*shared, *runs("own", [0.02, 0.03, 0.02], "other")]
    gaps = []
    for given in (shared, outright):
        found = rank(contest(scenarios=two, methods=("own", "worse")), given)
        gaps += [row.gap.mean for row in found.rows if row.contender.method == "own"]
    assert gaps[0] == pytest.approx(gaps[1]) and gaps[0] > 0.3


def test_scenarios_without_anchors_are_not_held_against_anybody():
    found = rank(
        contest(scenarios=("made-up", "other")),
        [*anchors(), *runs("own", [0.7, 0.71, 0.7]), *runs("fedavg", [0.5], "other")],
    )
    assert found.open == ("made-up@1",)
    (row,) = [row for row in found.rows if row.contender.method == "own"]
    assert row.missing == () and row.gap.mean > 0.7


def test_every_option_set_is_a_row_and_says_what_is_unusual():
    found = rank(
        contest(),
        [
            *anchors(),
            *runs("own", [0.7] * 3, options={"mu": 0.1}),
            *runs("own", [0.6] * 3, options={"mu": 1.0}),
        ],
    )
    assert [row.contender.label for row in found.rows if row.contender.method == "own"] == [
        "own",
        "own mu=1.0",
    ]
    keys = {row.contender.key for row in found.rows}
    assert len(keys) == len(found.rows)
    assert min(len(key.rpartition("-")[2]) for key in keys) >= 16, "nobody finds options for another's row"


def test_tuned_takes_the_best_of_the_declared_space_and_counts_the_trials():
    tuned = contest(rules="tuned", space={"own": {"mu": [0.1, 1.0]}})
    mine = [
        *runs("own", [0.7] * 3, options={"mu": 0.1}),
        *runs("own", [0.6] * 3, options={"mu": 1.0}),
        *runs("own", [0.9] * 3, options={"mu": 7.0}),
    ]
    found = rank(tuned, [*anchors(), *mine])
    (row,) = [row for row in found.rows if row.contender.method == "own"]
    (score,) = row.scores.values()
    assert (row.contender.label, score.trials, score.value.mean) == ("own", 2, pytest.approx(0.7))
    assert {item.why for item in found.left_out} == {"mu=7.0 is outside the space that the board declares"}
    stray = runs("own", [0.9] * 4, options={"mu": 1.0})[1:]
    found = rank(tuned, [*anchors(), *runs("own", [0.7] * 3, options={"mu": 0.1}), *stray])
    (row,) = [row for row in found.rows if row.contender.method == "own"]
    assert row.rank == 1 and {item.run.seed for item in found.left_out} == {1, 2, 3}
    few = contest(rules="tuned", space={"own": {"mu": [0.1, 1.0]}}, most_trials=1)
    (row,) = [row for row in rank(few, [*anchors(), *mine]).rows if row.contender.method == "own"]
    assert (row.rank, row.reason) == (None, "2 option sets tried, the board allows 1")


def _cuda(found):
    return replace(found, device="NVIDIA H100")


@pytest.mark.parametrize(
    ("rules", "change", "why"),
    [
        ({}, lambda r: replace(r, status="failed"), "it is failed"),
        (
            {}, lambda r: replace(r, scenario=r.scenario.model_copy(update={"changes": {"training.lr": 1}})),
            "its scenario was changed: training.lr=1",
        ),
        (
            {}, lambda r: replace(r, scenario=r.scenario.model_copy(update={"fingerprint": "e" * 64})),
            "made on made-up@1, another version than made-up@1 as installed",
        ),
        ({}, lambda r: replace(r, measures={}), f"it has no {METRIC}"),
        ({"hardware": "cpu"}, _cuda, "run on NVIDIA H100, the board is for cpu"),
        ({"budget": {"examples": 4}}, lambda r: r, "beyond the board's budget"),
        ({"budget": {"uplink_bytes": 1_999_999}}, lambda r: r, "beyond the board's budget"),
    ],
)  # fmt: skip
def test_what_does_not_count_and_why(rules, change, why):
    mine = [change(replace(r, device="cpu")) for r in runs("own", [0.8] * 3)]
    found = rank(contest(**rules), [*(replace(r, device="cpu") for r in anchors()), *mine])
    assert {item.why for item in found.left_out if item.run.method.name == "own"} == {why}
    assert "own" not in ranks(found)


def test_the_first_of_two_records_of_a_seed_counts():
    second = run("own", 0, 0.9, finished="2026-12-31T00:00:00+00:00")
    first = runs("own", [0.5, 0.5, 0.5])
    found = rank(contest(), [second, *anchors(), *first, first[0]])
    assert [(item.run.id, item.why) for item in found.left_out] == [
        (second.id, "a second record of seed 0, the first one counts")
    ]


def test_a_row_is_checked_as_far_as_its_least_record():
    mine = runs("own", [0.8] * 3)
    levels = {mine[0].id: Level.replayed, mine[1].id: Level.consistent, mine[2].id: Level.replayed}
    found = rank(contest(), [*anchors(), *mine], levels)
    assert {row.contender.method: row.level for row in found.rows}["own"] == Level.consistent
    assert {row.level for row in found.rows if row.contender.method != "own"} == {Level.unverified}


def test_where_there_is_no_gap_none_is_closed():
    for top in (0.1, 0.05):
        flat = [run(name, seed, top if name == "centralized" else 0.1)
                for name in ANCHOR_VALUES for seed in range(3)]  # fmt: skip
        found = rank(contest(), [*flat, *runs("own", [0.8] * 3)])
        (row,) = [row for row in found.rows if row.contender.method == "own"]
        assert (row.rank, row.gap, row.reason) == (None, None, "centralized is not clearly better than start")


def test_what_was_found_to_be_inconsistent_does_not_count():
    mine = runs("own", [0.8] * 3)
    found = rank(contest(), [*anchors(), *mine], {run.id: Level.valid for run in mine})
    assert "own" not in ranks(found) and ranks(found)["fedavg"] == 1
    assert {item.why for item in found.left_out} == {"it is not consistent"}


def test_the_same_runs_in_any_order_give_the_same_page():
    given = [*anchors(), *runs("own", [0.8, 0.7, 0.75]), *runs("own", [0.5] * 3, options={"mu": 1.0})]
    pages = {document(rank(contest(), order)) for order in (given, given[::-1])}
    assert len(pages) == 1


def test_published_figures_stand_beside_ours_and_say_what_they_are():
    table = Published(
        title="Theirs", source="a paper", columns=("a", "b"), rows={"Own": (1.0, None), "Else": (2.5, 3.0)},
        scenario="made-up",
    )  # fmt: skip
    papers = contest(published=(table,), ours={"Own": "own"})
    found = rank(papers, [*anchors(), *runs("own", [0.8, 0.7, 0.75], options={"mu": 0.1})])
    (title, note, rows) = next(part for part in headings(found) if part[0].startswith("Theirs"))
    assert title == "Theirs — published, not run here" and note == "Source: a paper."
    assert rows[0] == {
        "method": "Own", "a": "1", "b": "", "ours, gap closed": rows[0]["ours, gap closed"], "ours, rank": "1"
    }  # fmt: skip
    assert rows[0]["ours, gap closed"].startswith("0.80 [") and rows[1]["ours, rank"] == ""
    assert all("Own" not in row["method"] for row in overall(found))
    strangers = replace(papers, methods={key: m for key, m in papers.methods.items() if m.name != "own"})
    (*_, rows) = next(part for part in headings(rank(strangers, [*anchors(), *runs("own", [0.8] * 3)]))
                      if part[0].startswith("Theirs"))  # fmt: skip
    assert rows[0]["ours, rank"] == "", "somebody else's of this name is not ours"


def test_a_board_without_records_says_so():
    page = document(rank(contest(), []))
    assert (
        "No records yet" in page
        and "anchors without seeds 0, 1, 2: start, local, centralized, fedavg" in page
    )


def test_text_of_records_stays_text():
    evil = runs("own", [0.8] * 3, options={"mu": "<img src=x> | [x](javascript:x) `"})
    page = document(rank(contest(), [*anchors(), *evil]))
    assert "<img" not in page.replace("\\<img", "") and "\\| \\[x\\](javascript:x) \\`" in page
