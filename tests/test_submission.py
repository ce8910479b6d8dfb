"""Files and folders that hold something else than records."""

import os
import zipfile
from pathlib import Path

import pytest
from records_of_ours import PLACE, put, sealed, values

from fedbench.errors import UsageError
from fedbench.verification import submission
from fedbench.verification.ladder import Level, verify


def test_links_are_not_followed(catalog, tmp_path):
    outside = put(tmp_path / "outside", values())
    inside = tmp_path / "inside" / PLACE
    inside.parent.mkdir(parents=True)
    inside.symlink_to(outside)
    (tmp_path / "inside" / "all").symlink_to(tmp_path / "outside", target_is_directory=True)
    verdicts = verify([tmp_path / "inside"], catalog)
    assert [v.problem for v in verdicts] == ["it is a link, which is not followed"] * 2
    (verdict,) = verify([inside], catalog)
    assert verdict.problem == "it is a link, which is not followed"


def test_a_zip_of_a_hundred_thousand_files_is_not_opened(catalog, tmp_path):
    archive = tmp_path / "records" / "records.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(100_000):
            file.writestr(f"{number}/record.json", b"")
    for path in (archive, archive.parent):
        (verdict,) = verify([path], catalog)
        assert verdict.problem == "it is an archive, which is not opened: hand in the record files"


def test_files_without_end(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MOST_FILES", 20)
    for number in range(30):
        (tmp_path / f"{number}.json").touch()
    *_, last = verify([tmp_path], catalog)
    assert last.problem == "more than 20 files were handed in" and last.path == tmp_path
    deep = tmp_path / "deep" / Path(*"abcdefghijkl")
    deep.mkdir(parents=True)
    assert verify([tmp_path / "deep"], catalog)[0].problem == "its folders are nested too deeply"


@pytest.mark.parametrize(
    "name", ["evil.py", "weights.pkl", "record.json.bak", ".gitattributes", "Record.json"]
)
def test_nothing_else_belongs_here(catalog, tmp_path, name):
    path = put(tmp_path, values())
    (path.parent / "rounds.jsonl").touch()
    (path.parent / "trace.json").touch()
    (path.parent / name).touch()
    sound, other = sorted(verify([tmp_path], catalog), key=lambda v: -v.level)
    assert sound.level == Level.consistent
    assert other.problem == "it is no record.json, and nothing else belongs here"


def test_a_pipe_is_no_file(catalog, tmp_path):
    os.mkfifo(tmp_path / "record.json")
    (verdict,) = verify([tmp_path], catalog)
    assert verdict.problem == "it is not a plain file"


def test_no_such_file(catalog, tmp_path):
    with pytest.raises(UsageError, match="no such record or folder"):
        verify([tmp_path / "nothing"], catalog)
    assert sealed(values()) == values()
