"""``fedbench compare``: records side by side."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from fedbench.cli.main import App
from fedbench.cli.tables import PageFormat, page_format_option, print_rows
from fedbench.errors import UsageError, suggest
from fedbench.leaderboard.contest import InstalledMethod, installed_methods
from fedbench.results.comparison import Compared, Summary, compare
from fedbench.results.guards import Guard
from fedbench.results.markdown import plain, visible
from fedbench.results.run_summary import RunSummary, run_of, unusual
from fedbench.results.store import RECORDS, find_records, read_record

Methods = Mapping[tuple[str, str], InstalledMethod]


@click.command("compare")
@click.argument("what", nargs=-1, required=True)
@click.option(
    "--against", metavar="WHAT", help="What the others are held against; the first WHAT when absent."
)
@click.option("--metric", help="split/suite/value; the scenario's primary metric when absent.")
@click.option("--target", type=float, help="Value to reach; halfway from start to ceiling when absent.")
@click.option(
    "--fail-on", "guards", metavar="METRIC:CHANGE", multiple=True,
    help="Exit code 1 if a metric changes by more: accuracy:-1% or nll:+0.05. Repeatable.",
)  # fmt: skip
@click.option(
    "--plot", "picture", metavar="FILE", type=click.Path(path_type=Path),
    help="Draw learning curves, costs and clients, as .svg, .png or .pdf.",
)  # fmt: skip
@click.option(
    "--records", type=click.Path(path_type=Path), default=RECORDS, show_default=True,
    help="Where methods that are named are looked up.",
)  # fmt: skip
@page_format_option
@click.pass_obj
def command(
    app: App,
    what: tuple[str, ...],
    against: str | None,
    metric: str | None,
    target: float | None,
    guards: tuple[str, ...],
    picture: Path | None,
    records: Path,
    format: PageFormat,
) -> None:
    """Compare WHAT (record files, folders of them, or methods by name): mean over seeds ± standard error.

    ± items: standard error within a run. gap closed: share of the way from the start to the ceiling. drop:
    mean drop from the running best, over rounds. rounds, MB to target: of the seeds that reached it.

    A method is shown with its options that are not the defaults. If several of WHAT hold other records of one
    method and seed, each has a row of its own.

    If more than one is named, the others are held against the first, if that is one method: the mean
    difference over the seeds that both have and its 95 % interval; better or worse if that leaves out zero.
    effect: the mean difference over the standard deviation of the differences.
    """
    named = {name: _runs(name, records) for name in dict.fromkeys((*what, *filter(None, [against])))}
    reference = _reference(
        named, against or (what[0] if len(what) > 1 else None), explicit=against is not None
    )
    rows = compare(named, reference, metric=metric, target=target)
    broken = [broken for guard in map(Guard.parse, guards) for broken in guard.broken(rows, reference)]
    if reference:
        rows = _with_a_difference(rows)
    installed = installed_methods(app.catalog)
    if picture:
        _draw(rows, installed, metric, picture)
    _print(rows, installed, format)
    for line in broken:
        click.echo(line, err=True)
    click.get_current_context().exit(1 if broken else 0)


def _runs(name: str, records: Path) -> list[RunSummary]:
    """The runs of a record file, a folder, or a method (as its folder among the records is called)."""
    path = Path(name)
    if path.exists():
        return [run_of(read_record(found), found) for found in find_records([path])]
    methods = {folder.name for folder in records.glob("*/*") if folder.is_dir()}
    if name not in methods:
        fix = suggest(name, methods) if methods and "/" not in name else ""
        raise UsageError(f"no such record or folder{', or method' if methods else ''}: {name}", fix=fix)
    return [run_of(read_record(found), found) for found in find_records(sorted(records.glob(f"*/{name}")))]


def _reference(named: dict[str, list[RunSummary]], name: str | None, explicit: bool) -> Sequence[RunSummary]:
    """The runs that the others are held against. Several methods are nothing to be held against."""
    if name is None:
        return ()
    found = named[name]
    several = sorted({run.method.name for run in found if run.contender != found[0].contender})
    if not several:
        return found
    if explicit:
        raise UsageError(f"--against {name}: it holds {len(several) + 1} methods or option sets, name one")
    return ()


def _with_a_difference(rows: Sequence[Compared]) -> list[Compared]:
    """The rows of scenarios on which something is held against the reference."""
    shared = {row.runs[0].scenario.fingerprint for row in rows if row.difference}
    if not shared:
        raise UsageError("nothing to compare", why="they have no scenario and seed in common")
    return [row for row in rows if row.runs[0].scenario.fingerprint in shared]


def _print(rows: Sequence[Compared], installed: Methods, format: PageFormat) -> None:
    if format == "json":
        found = [
            asdict(row.summary) | {"difference": row.difference and asdict(row.difference)} for row in rows
        ]
        click.echo(json.dumps(found, indent=1))
        return
    for scenario, group in _tables(rows):
        title = f"{scenario} · {visible(_measure(group))}"
        click.echo(f"{plain(title) if format == 'markdown' else title}\n")
        print_rows(_shown(group, installed), format)
        click.echo()


def _tables(rows: Sequence[Compared]) -> Iterator[tuple[str, list[Compared]]]:
    """The rows that may be compared with each other, and the name of their scenario, with its fingerprint if
    another scenario has that name, too."""
    prints: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        prints[row.summary.title].add(row.summary.fingerprint)
    for (title, _, found), group in groupby(rows, key=lambda r: _table(r.summary)):
        yield visible(f"{title} ({found[:8]})" if len(prints[title]) > 1 else title), list(group)


def _table(row: Summary) -> tuple[str, str, str]:
    return row.title, row.metric, row.fingerprint


def _measure(group: Sequence[Compared]) -> str:
    """What a table's rows are ordered by, and the target if it is one for all of them."""
    first = group[0].summary
    better = "" if first.better == "neither" else f", {first.better} is better"
    same = first.target is not None and not _targets_differ(group)
    return f"{first.metric}{better}" + (f" · target {first.target:.3f}" if same else "")


def _targets_differ(group: Sequence[Compared]) -> bool:
    """As they do where each WHAT has anchors of its own."""
    return len({row.summary.target for row in group}) > 1


def _labels(group: Sequence[Compared], installed: Methods) -> list[str]:
    """Names of a table's rows: the method, its options that are not the defaults (all of them if it is not
    installed here), and the WHAT that it is from if another has it, too. Rows that would be called alike have
    the plugin's name as well, and a record's id if that is the same."""

    def label(row: Compared, before: str = "", after: str = "") -> str:
        run = row.runs[0]
        known = installed.get(run.contender[:2])
        options = unusual(run.method.options, known.defaults if known else {})
        source = f"({row.summary.source})" if row.summary.source else ""
        return visible(" ".join(filter(None, (before + run.method.name, options, source, after))))

    labels = [label(row) for row in group]
    for more in (False, True):
        counts = Counter(labels)
        labels = [
            label(row, f"{row.summary.plugin}/", row.runs[0].id[:8] if more else "")
            if counts[was] > 1
            else was
            for row, was in zip(group, labels, strict=True)
        ]
    return labels


def _shown(group: Sequence[Compared], installed: Methods) -> list[dict[str, str]]:
    """A table's rows; columns of differences if there is one."""
    labels = _labels(group, installed)
    shown = [{"method": label} | _cells(row.summary) for row, label in zip(group, labels, strict=True)]
    if _targets_differ(group):
        for cells, row in zip(shown, group, strict=True):
            cells["target"] = _number(row.summary.target, 3)
    held = [row.difference for row in group if row.difference]
    if held:
        for cells, row in zip(shown, group, strict=True):
            cells |= _difference(row, f"vs {held[0].against}")
    return shown


def _difference(row: Compared, heading: str) -> dict[str, str]:
    found = row.difference
    if found is None:
        return {heading: "", "effect": "", "verdict": ""}
    interval = found.interval
    known = interval.low is not None and interval.high is not None
    reach = f" [{interval.low:+.4f}, {interval.high:+.4f}]" if known else ""
    return {
        heading: f"{interval.mean:+.4f}{reach}",
        "effect": "" if found.effect is None else f"{found.effect:+.1f}",
        "verdict": found.verdict,
    }


def _cells(row: Summary) -> dict[str, str]:
    count = len(row.seeds)
    some = f" ({row.reached} of {count})" if 0 < row.reached < count else ""
    error = "" if row.se is None else f" ± {row.se:.4f}"
    return {
        "seeds": str(count),
        "mean": _number(row.mean) + error,
        "± items": _number(row.item_se),
        "gap closed": _number(row.gap_closed, 2),
        "worst client": _number(row.worst_client),
        "drop": _number(row.instability),
        "rounds to target": _number(row.rounds_to_target, 1) + some,
        "MB to target": _number(row.uplink_megabytes_to_target, 1),
        "MB up": _number(row.uplink_megabytes, 1),
        "examples": _number(row.client_examples, 0),
        "seconds": _number(row.seconds, 0),
    }


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _draw(rows: Sequence[Compared], installed: Methods, metric: str | None, picture: Path) -> None:
    from fedbench.results.pictures import comparison, picture_format, save

    picture_format(picture)
    panels: dict[str, dict[str, Any]] = {}
    for scenario, group in _tables(rows):
        found = zip(_labels(group, installed), group, strict=True)
        panels.setdefault(scenario, {}).update((label, row.runs) for label, row in found)
    save(comparison(panels, metric), picture)
