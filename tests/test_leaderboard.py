"""``fedbench leaderboard`` from the command line: show, build, add, verify; what git knows of records."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import git
from records_of_ours import PLACE, RECORDS, edited, everywhere, put, values

from fedbench.results.parsing import content_id
from fedbench.verification.badges import BADGES, read_badges

ROOT = Path(__file__).parent.parent
METHODS = ("start", "local", "centralized", "fedavg", "fed-cmp")


@pytest.fixture
def records(tmp_path):
    """emoji-tt's anchors and Fed-CMP, three seeds each."""
    folder = tmp_path / "boards" / "records"
    for method in METHODS:
        for seed in range(3):
            place = Path("emoji-tt@1", method, f"seed-{seed}", "record.json")
            put(folder, values(place), place)
    return folder


def small_board(records):
    """A board of the one scenario, beside the records."""
    path = records.parent / "small.toml"
    text = 'name = "small"\ntitle = "Small"\nsummary = "s"\ntrack = "alignment"\nscenarios = ["emoji-tt@1"]\n'
    path.write_text(text)
    return path


def test_boards_are_listed(fedbench):
    code, out, err = fedbench("leaderboard", "show", "--format", "json")
    assert (code, err) == (0, "")
    assert [row["board"] for row in json.loads(out)] == [
        "alignment-nano", "alignment-papers", "preference-nano", "preference-papers",
        "tuning-nano", "tuning-ranks-nano",
    ]  # fmt: skip


def test_a_board_is_shown_as_table_markdown_and_json(fedbench, records):
    code, out, err = fedbench("leaderboard", "show", "alignment-nano", "--records", records)
    assert (code, err) == (0, "")
    assert "Over 1 scenario; 10 more are not open, see there." in out
    lines = [line.split() for line in out.splitlines() if line.startswith(("1 ", "2 ", "anchor"))]
    ranked = [["1", "fedavg"], ["1", "fed-cmp"]]
    anchors = [["anchor", name] for name in ("local", "centralized", "start")]
    assert [line[:2] for line in lines[:5]] == [*anchors[:2], *ranked, anchors[2]]
    _, page, _ = fedbench(
        "leaderboard", "show", "alignment-nano", "--records", records, "--format", "markdown"
    )
    assert page.startswith("# Federated alignment, nano\n") and "| fedavg " in page
    _, text, _ = fedbench("leaderboard", "show", "alignment-nano", "--records", records, "--format", "json")
    first = json.loads(text)["alignment-nano"][0]
    assert [row["rank"] for row in first["rows"]] == ["anchor", "anchor", "1", "1", "anchor"]
    assert {row["checked"] for row in first["rows"]} == {"consistent"}


def test_a_board_without_records_is_shown(fedbench, tmp_path):
    (tmp_path / "records").mkdir()
    code, out, err = fedbench("leaderboard", "show", "preference-papers", "--records", tmp_path / "records")
    assert (code, err) == (0, "") and "No records yet." in out and "published, not run here" in out


@pytest.mark.slow
def test_building_twice_gives_the_same_bytes_and_check_says_what_is_stale(fedbench, records):
    arguments = ["leaderboard", "build", small_board(records), "preference-papers", "--records", records]
    code, out, _ = fedbench(*arguments, "--check")
    assert code == 1 and "small.md is not current" in out and "index.html" not in out
    code, out, _ = fedbench(*arguments)
    assert code == 0 and out.splitlines()[-1] == str(records.parent / "site" / "index.html")
    assert sorted(path.name for path in records.parent.glob("*.md")) == ["preference-papers.md", "small.md"]
    assert fedbench(*arguments, "--check")[:2] == (0, "")
    shutil.rmtree(records / "emoji-tt@1" / "fed-cmp")
    code, out, _ = fedbench(*arguments, "--check")
    assert code == 1 and "small.md is not current" in out and "preference-papers.md" not in out


def test_what_is_not_consistent_is_named(fedbench, records):
    put(records, edited(lambda record: everywhere(record, 0.9)))
    code, _, err = fedbench("leaderboard", "build", small_board(records), "--records", records)
    assert code == 0 and err.count("\n") == 1
    assert f"{records / PLACE}: valid only" in err and "not a count out of 476" in err
    _, page, _ = fedbench(
        "leaderboard", "show", "alignment-nano", "--records", records, "--format", "markdown"
    )
    assert "it is not consistent" in page and "anchors without seeds 0, 1, 2: fedavg" in page


def test_add_and_add_again(fedbench, tmp_path, records):
    run = put(tmp_path / "runs", values(Path("emoji-tt@1", "moon", "seed-0", "record.json")), "record.json")
    for new in ("yes", "no"):
        code, out, err = fedbench("leaderboard", "add", run, "--records", records, "--format", "json")
        (row,) = json.loads(out)
        assert (code, err, row["new"]) == (0, "", new)
        assert row["lies at"] == str(records / "emoji-tt@1" / "moon" / "seed-0" / "record.json")
    run.write_text(json.dumps(edited(lambda record: everywhere(record, 0.9))))
    code, out, err = fedbench("leaderboard", "add", run, "--records", records)
    assert code == 1 and out == "" and err.startswith(f"fedbench: {run} can't be added: ")


def test_verify_says_it_as_table_json_and_comment(fedbench, records, tmp_path):
    code, out, err = fedbench("leaderboard", "verify", records, "--format", "json")
    rows = json.loads(out)
    assert (code, err, len(rows)) == (0, "", 15) and {row["level"] for row in rows} == {"consistent"}
    put(records, edited(lambda record: everywhere(record, 0.9)))
    code, out, err = fedbench("leaderboard", "verify", records)
    assert (code, err) == (1, "") and "not a count out of 476" in out
    assert fedbench("leaderboard", "verify", records, "--level", "valid")[0] == 0
    code, out, err = fedbench("leaderboard", "verify", records, "--format", "markdown")
    assert "15 files: 14 consistent, 1 valid. **1 fall short of `consistent`.**" in out
    assert "| `unseen" not in out and "round 1" in out and f"`{records / PLACE}`" in out


def test_a_comment_quotes_nothing_as_markup(fedbench, tmp_path):
    folder = tmp_path / "<img src=x>`@everyone|" / "x"
    put(folder, edited(lambda record: record["method"].update(name="](javascript:alert(1))")))
    code, out, _ = fedbench("leaderboard", "verify", folder, "--format", "markdown")
    (row,) = [line for line in out.splitlines() if "seed-0" in line]
    assert code == 1 and "<" not in out and row.count("|") == 4 and row.count("`") == 4


# --- against what was there


@pytest.fixture
def repository(records):
    root = records.parent
    git(root, "init", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-m", "records")
    git(root, "checkout", "-b", "submission")
    return root


def against(fedbench, records):
    code, out, _ = fedbench("leaderboard", "verify", records, "--against", "main", "--format", "json")
    return code, {Path(row["file"]).name: row["problem"] for row in json.loads(out) if row["problem"]}


def test_new_records_are_welcome(fedbench, records, repository):
    put(records, values(place := Path("emoji-tt@1", "moon", "seed-0", "record.json")), place)
    git(repository, "add", ".")
    git(repository, "commit", "-m", "mine")
    assert against(fedbench, records) == (0, {})


def test_nothing_retired_is_added(fedbench, records, repository):
    """What lies there may retire; what comes is of today."""
    place = Path("emoji-tt@0", "fedavg", "seed-0", "record.json")
    put(records, edited(lambda record: record["scenario"].update(version=0)), place)
    git(repository, "add", ".")
    said = {"record.json": "it is retired, and nothing retired is added"}
    assert against(fedbench, records)[0] == 1
    code, out, _ = fedbench("leaderboard", "verify", records, "--against", "main", "--format", "markdown")
    assert code == 1 and said["record.json"] in out
    assert fedbench("leaderboard", "verify", records)[0] == 0


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "in the working tree"])
def test_records_that_are_there_stay(fedbench, records, repository, commit):
    victim = records / "emoji-tt@1" / "fedavg" / "seed-2" / "record.json"
    record = json.loads(victim.read_text())
    record["finished"] = record["finished"].replace("+00:00", "Z")
    victim.write_text(json.dumps(record | {"record_id": content_id(record)}))
    if commit:
        git(repository, "commit", "-am", "better now")
    assert against(fedbench, records) == (
        1, {"record.json": "it was changed: records that are there stay as they are"}
    )  # fmt: skip
    victim.unlink()
    assert against(fedbench, records) == (
        1, {"record.json": "it has vanished: records that are there stay as they are"}
    )  # fmt: skip


def test_the_merge_base_counts_not_the_tip(fedbench, records, repository):
    """Records that main got meanwhile have not vanished from a branch that began before."""
    git(repository, "checkout", "main")
    place = Path("emoji-tt@1", "moon", "seed-0", "record.json")
    put(records, values(place), place)
    git(repository, "add", ".")
    git(repository, "commit", "-m", "somebody else's")
    git(repository, "checkout", "submission")
    assert against(fedbench, records) == (0, {})


def test_nobody_gives_himself_a_badge(fedbench, records, repository):
    (records.parent / BADGES).write_text(json.dumps({values()["record_id"]: "reproduced"}))
    git(repository, "add", ".")
    assert against(fedbench, records) == (
        1, {BADGES: "badges are given by those who keep the boards, not by who hands in records"}
    )  # fmt: skip


@pytest.mark.parametrize("ref", ["no-such-branch", "--output=stolen", ""])
def test_git_can_not_tell(fedbench, records, repository, ref):
    code, out, err = fedbench("leaderboard", "verify", records, "--against", ref)
    assert code == 2 and out == "" and err.startswith("fedbench: git can't tell what changed in")
    assert not list(repository.rglob("stolen")) and not Path("stolen").exists()


def test_outside_of_git(fedbench, records):
    code, _, err = fedbench("leaderboard", "verify", records, "--against", "main")
    assert code == 2 and "git can't tell what changed" in err


# --- badges


def test_badges_are_kept_by_record_and_only_rise(records, fedbench, monkeypatch):
    badges = records.parent / BADGES
    badges.write_text(json.dumps({values()["record_id"]: "reproduced", "0" * 64: "replayed"}))
    _, out, _ = fedbench("leaderboard", "show", "alignment-nano", "--records", records, "--format", "json")
    tables = json.loads(out)["alignment-nano"]
    assert {row["checked"] for row in tables[0]["rows"]} == {"consistent"}, "as far as the least record"
    for seed in (1, 2):
        place = PLACE.parent.parent / f"seed-{seed}" / "record.json"
        known = {key: level.name for key, level in read_badges(badges).items()}
        badges.write_text(json.dumps(known | {values(place)["record_id"]: "replayed"}))
    _, out, _ = fedbench("leaderboard", "show", "alignment-nano", "--records", records, "--format", "json")
    rows = {row["method"]: row["checked"] for row in json.loads(out)["alignment-nano"][0]["rows"]}
    assert rows["fedavg"] == "replayed" and rows["local"] == "consistent"


@pytest.mark.parametrize("text", ["[]", "{", '{"a": "golden"}', '{"a": 1}'])
def test_badges_that_are_none(fedbench, records, text):
    (records.parent / BADGES).write_text(text)
    code, _, err = fedbench("leaderboard", "show", "alignment-nano", "--records", records)
    assert code == 2 and err.startswith(f"fedbench: not a file of badges in {records.parent / BADGES}")


def test_notes_need_one_folder(fedbench, records):
    code, _, err = fedbench("leaderboard", "verify", records / PLACE, "--note")
    assert code == 2 and "badges lie beside a folder of records" in err


def test_badges_lie_beside_the_records_from_wherever_they_are_named(fedbench, records, monkeypatch):
    badge = {values()["record_id"]: "replayed"}
    (records.parent / BADGES).write_text(json.dumps(badge))
    for seed in (1, 2):
        shutil.rmtree(records / PLACE.parent.parent / f"seed-{seed}")
    monkeypatch.chdir(records)
    _, out, _ = fedbench("leaderboard", "show", "alignment-nano", "--records", ".", "--format", "json")
    (row,) = [r for r in json.loads(out)["alignment-nano"][0]["rows"] if r["method"] == "fedavg"]
    assert row["checked"] == "replayed"


def test_a_copy_further_in_does_not_harm_the_record(fedbench, records):
    """As a site that was built into the folder holds one."""
    shutil.copytree(records / PLACE.parent, records / "site" / "records" / PLACE.parent)
    _, out, _ = fedbench("leaderboard", "show", "alignment-nano", "--records", records, "--format", "json")
    (row,) = [r for r in json.loads(out)["alignment-nano"][0]["rows"] if r["method"] == "fedavg"]
    assert (row["rank"], row["checked"]) == ("1", "consistent")


def test_an_edited_copy_is_not_taken_for_the_record_whose_id_it_claims(fedbench, records, tmp_path):
    path = put(tmp_path / "runs", edited(lambda record: everywhere(record, 0.9), seal=False))
    code, _, err = fedbench("leaderboard", "add", path, "--records", records)
    assert code == 1 and "record_id" in err


def test_two_boards_of_one_name_have_one_page(fedbench, records):
    board = small_board(records)
    code, _, err = fedbench("leaderboard", "build", board, board, "--records", records, "--check")
    assert code == 2 and "2 boards are called small" in err


def test_nothing_in_the_process_environment_leaks_into_git(
    records, repository, fedbench, monkeypatch, tmp_path
):
    """A repository's own settings can't make verification run a program."""
    marker = tmp_path / "ran"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {marker}\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external", "core.pager"):
        git(repository, "config", key, str(script))
    put(records, edited(lambda record: record.update(wall_seconds=record["wall_seconds"] + 0.1)))
    against(fedbench, records)
    assert not marker.exists() and RECORDS.is_dir()
