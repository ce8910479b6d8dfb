"""Checks of records that are kept: the same verdicts, made again for whatever changed."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter
from records_of_ours import PLACE, edited, everywhere, of_version, put, values

from fedbench.verification import check_cache, ladder
from fedbench.verification.check_cache import CheckCache
from fedbench.verification.ladder import Verdict, verify

VERDICTS = TypeAdapter(list[Verdict])
METHODS = ("fedavg", "fedprox", "moon")


@pytest.fixture
def records(tmp_path):
    """Three honest records, one of an earlier version, one that is edited, and one that is none."""
    folder = tmp_path / "records"
    for method in METHODS:
        place = PLACE.parent.parent.parent / method / "seed-0" / "record.json"
        put(folder, values(place), place)
    put(folder, edited(of_version(0)), Path("emoji-tt@0", *PLACE.parts[1:]))
    place = PLACE.parent.parent / "seed-2" / "record.json"
    put(folder, edited(lambda record: everywhere(record, 0.9), place), place)
    (folder / "record.json").write_text("{")
    return folder


@pytest.fixture
def checked(catalog, records, tmp_path, monkeypatch):
    """``checked()``: the verdicts by way of the cache as JSON, and the files that were really checked."""
    made, check = [], ladder._check_alone

    def watched(file, installed):
        made.append(file.path.relative_to(records).as_posix())
        return check(file, installed)

    monkeypatch.setattr(ladder, "_check_alone", watched)

    def run(folder=tmp_path / "cache"):
        made.clear()
        cache = CheckCache(catalog, folder)
        verdicts = verify([records], catalog, cache)
        cache.save()
        return VERDICTS.dump_json(verdicts), sorted(made)

    return run


def plain(records, catalog):
    return VERDICTS.dump_json(verify([records], catalog))


def test_what_is_kept_gives_the_same_verdicts(records, catalog, checked):
    expected = plain(records, catalog)
    assert {v["level"] for v in json.loads(expected)} == {-1, 0, 1, 2}
    first, made = checked()
    assert first == expected and len(made) == 6
    assert checked() == (expected, [])


def test_a_file_is_checked_again_when_its_bytes_change(records, catalog, checked):
    """Whatever its time stamp says; and then it is held against the others as ever."""
    checked()
    path = records / PLACE
    stamp = path.stat()
    put(records, edited(lambda r: r["rounds"][0].update(digest="0" * 64)))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    verdicts, made = checked()
    assert made == [PLACE.as_posix()] and verdicts == plain(records, catalog)
    assert b"the untouched start is not that of the other records" in verdicts


def test_a_file_that_lies_elsewhere_is_another_one(records, catalog, checked):
    checked()
    there = records / PLACE.parent.parent / "seed-4"
    (records / PLACE.parent).rename(there)
    verdicts, made = checked()
    assert made == [(there / "record.json").relative_to(records).as_posix()]
    assert verdicts == plain(records, catalog) and b"it belongs at emoji-tt@1/fedavg/seed-0" in verdicts


def test_another_installation_checks_everything_again(checked, monkeypatch):
    checked()
    monkeypatch.setattr(check_cache, "whole_core_sha256", lambda: "another")
    assert len(checked()[1]) == 6
    assert checked()[1] == []


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + bytes(100)])
def test_a_damaged_cache_is_begun_anew(records, catalog, checked, tmp_path, content):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / check_cache.FILE).write_bytes(content)
    expected = plain(records, catalog)
    assert checked()[0] == checked()[0] == expected
    assert checked()[1] == []


def test_without_a_folder_that_can_be_written_all_is_checked(records, catalog, checked, tmp_path):
    (tmp_path / "file").write_text("")
    for _ in range(2):
        verdicts, made = checked(tmp_path / "file")
        assert verdicts == plain(records, catalog) and len(made) == 6


def test_an_entry_that_makes_no_sense_is_made_again(records, catalog, checked, monkeypatch):
    checked()
    monkeypatch.setattr(
        check_cache, "json", SimpleNamespace(loads=lambda text: {"level": 9}, dumps=json.dumps)
    )
    assert len(checked()[1]) == 6
