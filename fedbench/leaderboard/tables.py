"""Standings as rows of text: for the terminal and for Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from fedbench.leaderboard.boards import Published
from fedbench.leaderboard.standings import THRESHOLDS, Row, ScenarioStanding, Score, Standings
from fedbench.results.markdown import markdown_table, plain
from fedbench.results.statistics import Interval

PROFILE = (0.5, 0.75, 0.9)
"""Thresholds of the performance profile that a table shows."""

NOT_OURS = "published, not run here"


def overall(standings: Standings) -> list[dict[str, str]]:
    """A row for each contender, over all scenarios that are open."""
    return [_overall(row, len(standings.open)) for row in standings.rows]


def _overall(row: Row, scenarios: int) -> dict[str, str]:
    run = scenarios - len(row.missing)
    return {
        "rank": _rank(row),
        "method": row.contender.marked,
        "gap closed": _interval(row.gap),
        **{f"≥ {share:g}": _share(row.profile[THRESHOLDS.index(share)]) for share in PROFILE},
        "scenarios": f"{run} of {scenarios}",
        "at target": str(row.reached),
        "worst client": _number(row.worst_client),
        "drop": _number(row.instability),
        "MB to target": _number(row.uplink_megabytes_to_target, 1),
        "MB up": _number(row.uplink_megabytes, 1),
        "examples": _number(row.client_examples, 0),
        "seeds": str(len(row.seeds)),
        "checked": row.level.name,
        "plugin": f"{row.contender.plugin} {', '.join(row.contender.versions)}",
        "date": row.date,
        "why unranked": row.reason,
    }


def on_scenario(standing: ScenarioStanding) -> list[dict[str, str]]:
    """A row for each contender on one scenario."""
    return [_on_scenario(score) for score in standing.scores]


def _on_scenario(score: Score) -> dict[str, str]:
    summary = score.summary
    some = f" ({summary.reached} of {summary.curves})" if 0 < summary.reached < summary.curves else ""
    trials = f", {score.trials} trials" if score.trials > 1 else ""
    return {
        "rank": _rank(score),
        "method": score.contender.marked + trials,
        "measure": _interval(score.value, 3),
        "gap closed": _interval(score.gap),
        "worst client": _number(summary.worst_client),
        "drop": _number(summary.instability),
        "rounds to target": _number(summary.rounds_to_target, 1) + some,
        "MB to target": _number(summary.uplink_megabytes_to_target, 1),
        "MB up": _number(summary.uplink_megabytes, 1),
        "seconds": _number(summary.seconds, 0),
        "seeds": ", ".join(map(str, summary.seeds)),
        "checked": score.level.name,
        "why unranked": score.reason,
    }


def published(table: Published, standings: Standings) -> list[dict[str, str]]:
    """A paper's table, and beside each of its methods ours, on the scenario that stands for the setting."""
    rows = []
    for name, figures in table.rows.items():
        row = {"method": name, **dict(zip(table.columns, map(_figure, figures), strict=True))}
        if table.scenario:
            score = standings.beside(table, name)
            row |= {"ours, gap closed": _interval(score.gap if score else None), "ours, rank": _rank(score)}
        rows.append(row)
    return rows


def left_out(standings: Standings) -> list[dict[str, str]]:
    """How many runs do not count, and why."""
    counts = Counter((item.run.title, item.why) for item in standings.left_out)
    return [
        {"scenario": title, "runs": str(count), "why": why} for (title, why), count in sorted(counts.items())
    ]


def headings(standings: Standings) -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """The board's tables: title, note and rows of each."""
    board = standings.contest.board
    if not board.scenarios:
        yield "Standings", "This board has no scenario of ours yet.", []
    elif not standings.rows:
        yield "Standings", "No records yet.", []
    else:
        closed = len(standings.scenarios) - len(standings.open)
        note = f"Over {len(standings.open)} scenario{'s' if len(standings.open) != 1 else ''}"
        note += f"; {closed} more {'is' if closed == 1 else 'are'} not open, see there." if closed else "."
        yield "Standings", note, overall(standings)
    for standing in standings.scenarios:
        yield standing.scenario.title, _about(standing), on_scenario(standing)
    for table in standings.published:
        yield f"{table.title} — {NOT_OURS}", f"Source: {table.source}.", published(table, standings)
    if standings.left_out:
        yield "What does not count", "", left_out(standings)


def _about(standing: ScenarioStanding) -> str:
    scenario = standing.scenario
    lines = [
        f"{scenario.summary}." if scenario.summary else "",
        scenario.metric and f"Measure: {scenario.metric}.",
    ]
    if standing.target is not None:
        lines.append(f"Target, halfway between the anchors: {standing.target:.3f}.")
    if standing.problem:
        lines.append(f"No entry is ranked: {standing.problem}.")
    elif not standing.scores:
        lines.append("No records yet.")
    return " ".join(filter(None, lines))


def terms(standings: Standings) -> str:
    """The board's rules in a few sentences."""
    board, anchors = standings.contest.board, standings.contest.anchors
    kind = "A row is one option set, the same on every scenario."
    if board.rules == "tuned":
        kind = f"A row is a method, on each scenario the best of at most {board.most_trials} option sets."
    seeds = ", ".join(map(str, board.seeds))
    return (
        f"{kind} Seeds {seeds} count in this order and without a gap: as many as the anchors have, at least"
        f" {board.least_seeds}. The gap is that from {anchors.floor} to {anchors.ceiling}. An entry shares a"
        " rank if the 95 % interval of its paired difference over seeds from the first of that rank contains"
        " zero. Over several scenarios, one that was not run and a run that ended below the start closed"
        " nothing."
    )


def document(standings: Standings) -> str:
    """The board as a Markdown page, the same bytes for the same records."""
    board = standings.contest.board
    parts = [f"# {plain(board.title)}", plain(board.summary)]
    if board.scenarios:
        parts.append(plain(terms(standings)))
    for title, note, rows in headings(standings):
        parts += [f"## {plain(title)}", plain(note)]
        parts += [markdown_table(_without_empty(rows))] if rows else []
    return "\n\n".join(filter(None, parts)) + "\n"


def _without_empty(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Without the columns in which there is nothing."""
    kept = [key for key in rows[0] if any(row[key] for row in rows)]
    return [{key: row[key] for key in kept} for row in rows]


def _rank(entry: Any) -> str:
    if entry is None:
        return ""
    if entry.contender.anchor:
        return "anchor"
    return "–" if entry.rank is None else str(entry.rank)


def _interval(interval: Interval | None, digits: int = 2) -> str:
    if interval is None:
        return ""
    mean = f"{interval.mean:.{digits}f}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _share(value: float) -> str:
    return f"{value:.0%}"
