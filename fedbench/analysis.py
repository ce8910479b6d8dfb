"""Records as Python calls: load and compare them, check files. None of these imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.installed import installed_catalog
from fedbench.leaderboard.contest import installed_methods
from fedbench.results.comparison_table import Comparison, compare_sources
from fedbench.results.records import Record
from fedbench.results.sources import Source, gather
from fedbench.results.store import RECORDS, find_records, read_record
from fedbench.scenario_files import load_scenario


def load(path: str | Path) -> Record:
    """Read and check one record: a file, or a folder that holds a single completed one.

    Raises
    ------
    UsageError
        There is no record, more than one, or it is damaged.

    Examples
    --------
    >>> import fedbench
    >>> record = fedbench.load("runs/emoji-ii@2/fed-cmp/seed-0")  # doctest: +SKIP
    >>> fedbench.load("nothing.json")
    Traceback (most recent call last):
    fedbench.errors.UsageError: can't read the record in nothing.json: No such file or directory
    """
    files = find_records([Path(path)])
    if len(files) > 1:
        raise UsageError(f"{len(files)} records", where=path, fix="load_all reads all of them")
    return read_record(files[0])


def load_all(*paths: str | Path) -> list[Record]:
    """Read every record named; a folder stands for all completed records below it.

    Examples
    --------
    >>> import fedbench
    >>> fedbench.load_all()
    []
    """
    return [read_record(file) for file in find_records(map(Path, paths))]


def compare(
    what: Source | Iterable[Source],
    *,
    against: Source | None = None,
    metric: str | None = None,
    target: float | None = None,
    fail_on: str | Sequence[str] = (),
    records: str | Path = RECORDS,
    catalog: Catalog | None = None,
) -> Comparison:
    """Compare records: means over seeds, and differences paired by seed with 95 % intervals.

    Parameters
    ----------
    what
        Records, what :func:`run_matrix` gave, record files, folders of them, or methods by name.
    against
        What the others are held against; the first of several when absent.
    metric
        ``split/suite/value``; the scenario's primary metric when absent.
    target
        The value to reach; halfway from start to ceiling when absent.
    fail_on
        Bounds on changes against the reference, such as ``"accuracy:-1%"``; the result's ``broken`` says
        which are exceeded.
    records
        Where methods that are named are looked up.
    catalog
        What is installed, for the methods' default options; everything when absent.

    Raises
    ------
    UsageError
        A name that leads nowhere, no completed record, or nothing in common with the reference.

    Examples
    --------
    >>> import fedbench
    >>> runs = fedbench.run_matrix(methods=["fedavg", "fed-cmp"], seeds=range(3))  # doctest: +SKIP
    >>> fedbench.compare(runs, against="fedavg").to_frame()[["method", "mean"]]  # doctest: +SKIP
    >>> fedbench.compare([])
    Traceback (most recent call last):
    fedbench.errors.UsageError: there is no completed record to compare
    """
    installed = installed_methods(catalog or installed_catalog())
    return compare_sources(
        gather(what, against, Path(records)),
        metric=metric,
        target=target,
        fail_on=[fail_on] if isinstance(fail_on, str) else fail_on,
        defaults={key: method.defaults for key, method in installed.items()},
    )


def validate(path: str | Path, *, catalog: Catalog | None = None) -> None:
    """Check a scenario file (``.toml``) or a record (``.json``): its form, its names, its hashes.

    Raises
    ------
    UsageError
        What is wrong with it. Nothing in it is run.

    Examples
    --------
    >>> import fedbench
    >>> fedbench.validate("notes.txt")
    Traceback (most recent call last):
    fedbench.errors.UsageError: neither a scenario (.toml) nor a record (.json) in notes.txt
    """
    path = Path(path)
    if path.suffix == ".toml":
        catalog = catalog or installed_catalog()
        catalog.resolve(load_scenario(path, catalog=catalog))
    elif path.suffix == ".json":
        record = read_record(path)
        if record.record_id != record.sealed().record_id:
            raise UsageError(
                "the record was changed after it was written", where=path, why="record_id does not match"
            )
    else:
        raise UsageError("neither a scenario (.toml) nor a record (.json)", where=path)
