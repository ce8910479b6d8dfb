"""Records from folders, from real git remotes, and from a server that speaks as the Hub does."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import git
from local_hub import local_hub, redirect
from records_of_ours import BOARD, PLACE, RECORDS, edited, put, values

from fedbench.leaderboard.sources import fetching
from fedbench.leaderboard.sources.git import fetch_git
from fedbench.results.parsing import content_id
from fedbench.verification.badges import BADGES

SCENARIO = "emoji-tt@1"
OWN = ("start", "local", "centralized")
THEIRS = ("fedavg", "moon")


def copied(folder, *methods):
    for method in methods:
        shutil.copytree(RECORDS / SCENARIO / method, folder / SCENARIO / method)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and nobody's git settings."""
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return tmp_path / "cache"


@pytest.fixture
def board(tmp_path):
    (tmp_path / "small.toml").write_text(BOARD)
    return tmp_path / "small.toml"


@pytest.fixture
def own(tmp_path):
    """A folder with the anchors' records, but the baseline's."""
    return copied(tmp_path / "own" / "records", *OWN)


@pytest.fixture
def theirs(tmp_path):
    """A repository of results: records in a folder of their own, badges beside, and what else there is."""
    root = tmp_path / "theirs"
    copied(root / "records", *THEIRS)
    (root / "README.md").write_text("our results")
    badges = {
        values(PLACE.parent.parent / f"seed-{s}" / "record.json")["record_id"]: "replayed" for s in range(5)
    }
    (root / BADGES).write_text(json.dumps(badges))
    git(tmp_path, "init", "--quiet", "--initial-branch=main", root)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "results")
    return root


@pytest.fixture
def show(fedbench, board):
    """The rows of the board over these sources, by method, and what was said; or the exit code."""

    def run(*sources):
        named = [word for source in sources for word in ("--records", source)]
        code, out, err = fedbench("leaderboard", "show", board, *named, "--format", "json")
        if code:
            return code, err
        return {row["method"]: row for row in json.loads(out)["small"][0]["rows"]}, err

    return run


def test_folders_and_remotes_make_one_board(show, own, theirs):
    rows, err = show(own, f"git:{theirs.as_uri()}")
    assert err == "" and {*OWN, *THEIRS} == set(rows)
    assert rows["fedavg"]["rank"] and rows["moon"]["why unranked"] == ""


def test_badges_count_for_the_records_beside_them_only(show, own, theirs):
    own_records = {v["record_id"]: "reproduced" for v in map(_read, own.rglob("record.json"))}
    (theirs / BADGES).write_text(json.dumps(own_records | json.loads((theirs / BADGES).read_text())))
    git(theirs, "commit", "--quiet", "--all", "--message", "badges for others")
    rows, _ = show(own, f"git:{theirs}#main")
    assert rows["fedavg"]["checked"] == "replayed" and rows["start"]["checked"] == "consistent"


def test_the_same_record_counts_once_and_a_second_one_not_at_all(show, own, theirs, tmp_path):
    copied(own, "fedavg")
    again = edited(lambda record: record.update(wall_seconds=record["wall_seconds"] + 0.1))
    put(theirs / "records", again, PLACE)
    git(theirs, "commit", "--quiet", "--all", "--message", "another run of it")
    rows, err = show(own, f"git:{theirs}")
    assert rows["fedavg"]["seeds"] == "5" and err.count("\n") == 1
    assert "a second record of this seed" in err and "cache" in err


def test_what_contradicts_an_earlier_source_is_refused(show, own, tmp_path):
    """However many there are: the first source's records stay what they are."""

    def federates_otherwise(record):
        record["data"]["fingerprint"] = "0" * 64

    other = tmp_path / "other"
    for path in (RECORDS / SCENARIO).glob("fed*/*/record.json"):
        place = path.relative_to(RECORDS)
        record = values(place)
        federates_otherwise(record)
        put(other, record | {"record_id": content_id(record)}, place)
    code, err = show(own, other)
    assert code == 1 and err.count("\n") == 1 and "contradict those before them" in err


def test_a_commit_is_fetched_once_and_a_newer_one_replaces_it(theirs, cache):
    first = fetch_git(f"git:{theirs}")
    marker = first.folder / "marker"
    marker.touch()
    assert fetch_git(f"git:{theirs}") == first and marker.exists()
    shutil.rmtree(theirs / "records" / SCENARIO / "moon")
    git(theirs, "commit", "--quiet", "--all", "--message", "less")
    second = fetch_git(f"git:{theirs}")
    assert not marker.exists() and not (second.folder / "records" / SCENARIO / "moon").exists()


def test_links_and_other_files_are_not_taken_and_nothing_is_run(theirs, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    place = theirs / "records" / SCENARIO / "linked" / "seed-0"
    place.mkdir(parents=True)
    (place / "record.json").symlink_to(secret)
    (theirs / ".gitattributes").write_text("* filter=evil\n")
    marker = tmp_path / "ran"
    for hook in ("post-checkout", "post-merge", "reference-transaction"):
        path = theirs / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {marker}\n")
        path.chmod(0o755)
    git(theirs, "-c", "core.hooksPath=/dev/null", "add", ".")
    git(theirs, "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--message", "a trap")
    source = fetch_git(f"git:{theirs}")
    taken = {path.name for path in source.folder.parent.rglob("*") if path.is_file() or path.is_symlink()}
    assert taken == {"record.json", BADGES} and not marker.exists()
    assert not list(source.folder.rglob("linked"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("git:", "names no remote"),
        ("git:--upload-pack=touch stolen", "names no remote"),
        ("git:/nowhere/at/all", "does not appear to be a git repository"),
        ("git:https://me:hunter2@127.0.0.1:9/x", "can't read records from git:https://127.0.0.1:9/x"),
        ("git:ext::sh -c 'touch stolen'", "transport 'ext' not allowed"),
        ("git:{theirs}#..", "'..' is no name for a branch"),
        ("git:{theirs}#nowhere", "it has no branch nowhere"),
        ("hf:nobody", "names no data set"),
        ("nowhere", "no such folder of records: nowhere"),
    ],
)
def test_sources_that_are_none_are_one_line(show, theirs, name, says):
    code, err = show(name.format(theirs=theirs))
    assert code == 2 and says in err and err.count("\n") == 1
    assert "hunter2" not in err and not Path("stolen").exists()


def test_a_repository_without_records_and_one_with_too_much(show, theirs, tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    git(tmp_path, "init", "--quiet", empty)
    assert "it is empty" in show(f"git:{empty}")[1]
    git(empty, "commit", "--quiet", "--allow-empty", "--message", "nothing")
    code, err = show(f"git:{empty}")
    assert code == 2 and "it has no record.json" in err
    for limit, says in (("MOST_FILES", "too many records"), ("MOST_BYTES", "too large a file"),
                        ("MOST_IN_ALL", "too many bytes")):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(fetching, limit, 5)
            code, err = show(f"git:{theirs}")
        assert code == 2 and says in err and err.count("\n") == 1


def test_remote_records_are_copied_into_the_site(fedbench, board, own, theirs):
    named = ["--records", own, "--records", f"git:{theirs}"]
    code, _, err = fedbench("leaderboard", "build", board, *named)
    assert (code, err) == (0, "") and (own.parent / "small.md").is_file()
    site = own.parent / "site"
    assert (site / "records" / "records" / PLACE).read_bytes() == (RECORDS / PLACE).read_bytes()
    assert not list((site / "records").rglob("centralized")), "the user's own are linked"


def test_verify_takes_a_remote_and_notes_nothing_there(fedbench, theirs):
    code, out, err = fedbench("leaderboard", "verify", f"git:{theirs}", "--format", "json")
    assert (code, err) == (0, "") and {row["level"] for row in json.loads(out)} == {"consistent"}
    code, _, err = fedbench("leaderboard", "verify", f"git:{theirs}", "--note")
    assert code == 2 and "--note is for records that lie here" in err


# --- the Hugging Face Hub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with local_hub() as server:
        redirect(monkeypatch, server, tmp_path)
        yield server


@pytest.fixture
def dataset(hub, theirs):
    """Their repository as a data set."""
    names = subprocess.run(["git", "-C", theirs, "ls-files"], capture_output=True, text=True).stdout.split()
    hub.repositories["datasets", "nobody/results"] = [{name: (theirs / name).read_bytes() for name in names}]
    return hub.repositories["datasets", "nobody/results"]


def test_a_data_set_of_the_hub(show, own, hub, dataset):
    rows, err = show(own, "hf:nobody/results")
    assert err == "" and {*OWN, *THEIRS} == set(rows) and rows["fedavg"]["checked"] == "replayed"
    assert not any("README" in path for _, path in hub.asked), "only records are fetched"
    hub.asked.clear()
    show(own, "hf:nobody/results")
    assert not any("resolve" in path for _, path in hub.asked), "a commit is fetched once"


def test_a_private_data_set_needs_a_token_that_nobody_sees(show, own, hub, dataset, monkeypatch):
    hub.private = {("datasets", "nobody/results")}
    code, err = show(own, "hf:nobody/results")
    assert code == 2 and "no such data set, or it is private" in err and err.count("\n") == 1
    monkeypatch.setenv("HF_TOKEN", hub.token)
    rows, err = show(own, "hf:nobody/results")
    assert "fedavg" in rows and hub.token not in err


def test_a_hub_that_is_not_there_is_one_line(show, own, hub, dataset):
    hub.shutdown()
    hub.server_close()
    code, err = show(own, "hf:nobody/results")
    assert code == 2 and "can't reach the Hub for nobody/results" in err and err.count("\n") == 1


def test_a_data_set_without_records(show, own, hub):
    hub.repositories["datasets", "nobody/empty"] = [{"README.md": b"a card", "../record.json": b"{}"}]
    code, err = show(own, "hf:nobody/empty")
    assert code == 2 and "no records in hf:nobody/empty" in err


def _read(path):
    return json.loads(path.read_text())
