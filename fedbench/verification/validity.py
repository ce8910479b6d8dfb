"""The first level: is this file a record of a scenario and a method as they are installed?

Nothing of it is run, loaded or followed; it is read once, with bounds, and compared.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fedbench.api.scenario import Scenario
from fedbench.errors import UsageError
from fedbench.fingerprint import canonical_json
from fedbench.plugins import NAME
from fedbench.results.layout import method_label, run_folder, run_id
from fedbench.results.parsing import NotJson, content_id, parse, read_bytes
from fedbench.results.records import Record
from fedbench.results.store import record_of
from fedbench.verification.installed import Installed, InvalidRecord, RetiredRecord
from fedbench.verification.safety import quoted, unsafe_content

DIGEST_LENGTH = 64
"""Hexadecimal digits of a sha256."""


def read_valid(
    path: Path, installed: Installed, place: PurePosixPath | None = None
) -> tuple[Record, Scenario]:
    """The record at ``path`` and its scenario.

    ``place`` is where in a folder of records it lies, which must be where its run belongs. Refuses damage,
    hostile content, edits without a new hash, runs that did not complete, and records of anything that is not
    installed as they say: raises :class:`InvalidRecord`, or :class:`RetiredRecord` if only the versions of
    scenario or method differ.
    """
    record = _read(path)
    _check_names(record)
    retired: RetiredRecord | None = None
    try:
        scenario = installed.scenario(record)
        installed.check_options(record)
    except RetiredRecord as error:
        retired = error
    method = record.method
    expected = run_id(
        record.scenario.fingerprint, method.name, method.provider.plugin, method.options, record.seed
    )
    if record.run_id != expected:
        raise InvalidRecord("run_id is not the hash of what it says was run")
    if place is not None and place not in (places := places_of(record, installed)):
        raise InvalidRecord(f"it belongs at {places[0]}")
    if retired is not None:
        raise retired
    return record, scenario


def _read(path: Path) -> Record:
    """Refuses what is no record, holds unsafe content, was edited after it was written, or is incomplete."""
    try:
        values = parse(read_bytes(path))
        record = record_of(values, path, strict=True)
    except (UsageError, NotJson) as error:
        raise InvalidRecord(quoted(str(error).replace(f" in {path}", ""), 200)) from error
    if problem := unsafe_content(values):
        raise InvalidRecord(problem)
    if content_id(values) != values["record_id"]:
        raise InvalidRecord("record_id is not the hash of its content: it was changed after it was written")
    if record.status != "completed":
        raise InvalidRecord(f"it is {record.status}, only completed runs count")
    return record


def _check_names(record: Record) -> None:
    """Refuses names that could not name files and rows, seeds below zero, and digests that are none.

    A name is letters, digits, ``-``, ``_`` and ``.``, nothing else.
    """
    scenario, method = record.scenario, record.method
    providers = (scenario.provider, method.provider)
    names = [("scenario.name", scenario.name), ("method.name", method.name)]
    names += [("provider.plugin", provider.plugin) for provider in providers]
    names += [("provider.distribution", provider.distribution) for provider in providers]
    for where, name in names:
        if not NAME.fullmatch(name):
            raise InvalidRecord(f"{where} is not a name")
    if record.seed < 0:
        raise InvalidRecord(f"its seed is {record.seed}")
    for entry in record.rounds:
        if len(entry.digest) != DIGEST_LENGTH or not set(entry.digest) <= set("0123456789abcdef"):
            raise InvalidRecord(f"the digest of round {entry.round} is not a sha256")


def places_of(record: Record, installed: Installed) -> list[PurePosixPath]:
    """The folders that a record may lie in, the usual one first.

    Default options are no part of a folder's name. But the plain folder may be taken by a record from before
    they were the defaults, and nobody knows the defaults of a method that is not installed in this version.
    """
    method, defaults = record.method, installed.defaults(record)
    by_default = defaults is not None and canonical_json(defaults) == canonical_json(method.options)
    title = f"{record.scenario.name}@{record.scenario.version}"
    label = method_label(method.name, method.provider.plugin, method.provider.distribution)
    changed = record.scenario.fingerprint if record.scenario.changes else ""
    plain, marked = (
        run_folder(title, label, record.seed, changed=changed, options=options)
        for options in (None, method.options)
    )
    if by_default:
        return [plain, marked]
    return [marked, plain] if defaults is None or installed.is_of_another_version(record) else [marked]
