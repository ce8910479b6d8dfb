"""``fedbench leaderboard publish``: to real git repositories, and to a server that speaks as the Hub does."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import git
from local_hub import Large, local_hub, redirect
from records_of_ours import BOARD, PLACE, RECORDS, edited, everywhere, put

from fedbench.leaderboard.publishers.git import GitPublisher


@pytest.fixture
def boards(tmp_path, monkeypatch):
    """A board of one scenario and its anchors' records; nobody's git settings."""
    folder = tmp_path / "boards"
    for method in ("start", "local", "centralized", "fedavg"):
        shutil.copytree(RECORDS / "emoji-tt@1" / method, folder / "records" / "emoji-tt@1" / method)
    (folder / "small.toml").write_text(BOARD)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Nobody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "nobody@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return folder


@pytest.fixture
def publish(fedbench, boards):
    """``code, out, err = publish("git:…")``"""

    def run(to, *more):
        arguments = ("leaderboard", "publish", boards / "small.toml", "--records", boards / "records")
        return fedbench(*arguments, "--to", to, *more)

    return run


@pytest.fixture
def remote(tmp_path):
    folder = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
    return folder


def commits(remote):
    return int(git(remote, "rev-list", "--count", "pages"))


def test_a_branch_gets_the_site_and_its_records(publish, remote):
    code, out, err = publish(f"git:{remote}#pages", "--message", "Results of the week")
    assert (code, "pages" in out) == (0, True), err
    names = git(remote, "ls-tree", "-r", "--name-only", "pages").splitlines()
    assert {"index.html", "assets/site.css", "boards/small/index.html", f"records/{PLACE}"} <= {*names}
    assert git(remote, "show", f"pages:records/{PLACE}") == (RECORDS / PLACE).read_text()
    assert git(remote, "log", "-1", "--format=%s%n%an", "pages") == "Results of the week\nNobody\n"


def test_the_same_again_is_nothing_to_do(publish, remote):
    assert publish(f"git:{remote}#pages")[0] == 0
    code, out, err = publish(f"git:{remote}#pages")
    assert (code, out) == (0, "")
    assert "nothing to do" in err
    assert commits(remote) == 1


@pytest.mark.slow
def test_a_dry_run_lists_what_would_change(publish, boards, remote):
    code, out, err = publish(f"git:{remote}#pages", "--dry-run", "--format", "json")
    rows = json.loads(out)
    assert code == 0 and "nothing was published" in err
    assert {"what": "add", "file": f"records/{PLACE}"} in rows
    assert git(remote, "branch", "--list") == ""
    assert publish(f"git:{remote}#pages")[0] == 0
    shutil.copytree(RECORDS / "emoji-tt@1" / "moon", boards / "records" / "emoji-tt@1" / "moon")
    rows = json.loads(publish(f"git:{remote}#pages", "--dry-run", "--format", "json")[1])
    assert {row["what"] for row in rows} == {"add", "change"}
    added = sorted(row["file"] for row in rows if row["file"].startswith("records/"))
    assert added == sorted(
        f"records/{p.relative_to(RECORDS)}" for p in RECORDS.glob("emoji-tt@1/moon/*/*.json")
    )
    assert commits(remote) == 1


@pytest.mark.slow
def test_what_else_lies_on_the_branch_stays_and_what_the_site_lost_goes(publish, remote, tmp_path):
    assert publish(f"git:{remote}#pages")[0] == 0
    git(tmp_path, "clone", "--quiet", "--branch", "pages", remote, "clone")
    (tmp_path / "clone" / "CNAME").write_text("boards.example.org")
    (tmp_path / "clone" / "boards" / "old.html").write_text("an entry of yesterday")
    git(tmp_path / "clone", "add", "--all")
    git(tmp_path / "clone", "commit", "--quiet", "--message", "by hand")
    git(tmp_path / "clone", "push", "--quiet")
    code, out, _ = publish(f"git:{remote}#pages", "--format", "json")
    assert (code, json.loads(out)[0]["files"]) == (0, 1)
    names = git(remote, "ls-tree", "-r", "--name-only", "pages").splitlines()
    assert "CNAME" in names and "boards/old.html" not in names
    assert commits(remote) == 3


@pytest.mark.slow
def test_what_is_no_site_is_not_replaced(publish, remote, tmp_path):
    """The branch of a mistyped address; only a lone first page may go, as a new static Space has one."""
    git(tmp_path, "clone", "--quiet", remote, "clone")
    git(tmp_path / "clone", "checkout", "-b", "pages")
    (tmp_path / "clone" / "scenarios").mkdir()
    (tmp_path / "clone" / "scenarios" / "mine.toml").write_text("mine")
    (tmp_path / "clone" / "index.html").write_text("mine")
    for what, code in (("add", 2), ("rm", 0)):
        git(tmp_path / "clone", what, *(["."] if what == "add" else ["-r", "scenarios"]))
        git(tmp_path / "clone", "commit", "--quiet", "--message", "by hand")
        git(tmp_path / "clone", "push", "--quiet", "--set-upstream", "origin", "pages")
        found, _, err = publish(f"git:{remote}#pages")
        assert found == code, err
        assert ("it has scenarios/mine.toml, and no site of fedbench's" in err) == (code == 2)


def test_a_path_is_one_from_here_and_a_password_is_nobodys(publish, remote, monkeypatch):
    monkeypatch.chdir(remote.parent)
    assert publish(f"git:{remote.name}#pages")[0] == 0
    code, _, err = publish("git:https://user:to@ken@example.org/x.git")
    assert code == 2 and "https://example.org/x.git names no remote and branch" in err


@pytest.mark.slow
@pytest.mark.parametrize("how", ["missing", "other"])
def test_a_branch_with_other_records_has_diverged(publish, boards, remote, how):
    """Somebody published records from another checkout; they are neither removed nor overwritten."""
    assert publish(f"git:{remote}#pages")[0] == 0
    before = git(remote, "rev-parse", "pages")
    shutil.rmtree(boards / "records" / "emoji-tt@1" / "fedavg" / "seed-2")
    if how == "other":
        shutil.copytree(
            RECORDS / "emoji-tt@1" / "fedavg" / "seed-2",
            boards / "records" / "emoji-tt@1" / "fedavg" / "seed-2",
        )
        path = boards / "records" / "emoji-tt@1" / "fedavg" / "seed-2" / "record.json"
        path.write_text(json.dumps(json.loads(path.read_text())))  # the same record, other bytes
    for more in ((), ("--dry-run",)):
        code, out, err = publish(f"git:{remote}#pages", *more)
        assert (code, out) == (1, "")
        assert "gone another way: it holds 1 records" in err and "seed-2" in err
    assert git(remote, "rev-parse", "pages") == before


@pytest.mark.slow
def test_who_is_overtaken_is_told_and_forces_nothing(publish, boards, remote, tmp_path, monkeypatch):
    """Between reading the branch and pushing to it, somebody else pushes."""
    assert publish(f"git:{remote}#pages")[0] == 0
    shutil.copytree(RECORDS / "emoji-tt@1" / "moon", boards / "records" / "emoji-tt@1" / "moon")
    prepare = GitPublisher.prepare

    def overtaken(self, site, scratch):
        found = prepare(self, site, scratch)
        git(tmp_path, "clone", "--quiet", "--branch", "pages", remote, "overtaker")
        (tmp_path / "overtaker" / "index.html").write_text("first!")
        git(tmp_path / "overtaker", "commit", "--quiet", "--all", "--message", "first!")
        git(tmp_path / "overtaker", "push", "--quiet")
        return found

    monkeypatch.setattr(GitPublisher, "prepare", overtaken)
    code, out, err = publish(f"git:{remote}#pages")
    assert (code, out) == (1, "")
    assert "the branch has diverged" in err and "publish again" in err
    assert git(remote, "show", "pages:index.html") == "first!"


@pytest.fixture
def read_only(remote, tmp_path):
    """The repository as git's own daemon serves it: anybody may read, nobody may write."""
    script = "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"
    port = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip()
    daemon = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all",
         f"--base-path={tmp_path}", "--informative-errors"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"git://127.0.0.1:{port}/{remote.name}"
    for _ in range(100):
        if subprocess.run(["git", "ls-remote", address], capture_output=True).returncode == 0:
            break
        threading.Event().wait(0.05)
    yield address
    daemon.terminate()
    daemon.wait()


def test_without_permission_nothing_happens(publish, remote, read_only):
    code, out, err = publish(f"git:{read_only}#pages")
    assert (code, out) == (1, "")
    assert err.count("\n") <= 2 and "git push failed" in err and "service not enabled" in err
    assert git(remote, "branch", "--list") == ""


def test_a_hook_that_says_no_is_heard(publish, remote):
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'this branch is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    code, out, err = publish(f"git:{remote}#pages")
    assert (code, out) == (1, "") and "pre-receive hook declined" in err


@pytest.mark.parametrize(
    "to, says",
    [
        ("git:/nowhere/at/all#pages", "does not appear to be a git repository"),
        ("git:https://me:hunter2@127.0.0.1:9/x#pages", "git ls-remote failed"),
        ("git:here", "names no remote and branch"),
        ("git:here#..", "no name for a branch"),
        ("git:--upload-pack=touch stolen#pages", "names no remote and branch"),
        ("gti:here#pages", "did you mean 'git'?"),
        ("nowhere", "not of the form scheme:target"),
        ("hf:nobody", "names no Space or dataset"),
        ("hf:models/nobody/x", "names no Space or dataset"),
    ],
)
def test_targets_that_are_none(publish, to, says):
    code, out, err = publish(to)
    assert code in (1, 2) and out == ""
    assert says in err and "hunter2" not in err and len(err.splitlines()) <= 2
    assert not Path("stolen").exists()


def test_nothing_that_does_not_verify_is_published(publish, boards, remote):
    put(boards / "records", edited(lambda record: everywhere(record, 0.9)))
    code, out, err = publish(f"git:{remote}#pages")
    assert (code, out) == (1, "")
    assert "nothing was published: 1 records do not verify" in err and "not a count out of" in err
    assert git(remote, "branch", "--list") == ""


# --- the Hugging Face Hub


@pytest.fixture
def hub():
    with local_hub() as server:
        yield server


@pytest.fixture
def to_hub(hub, publish, tmp_path, monkeypatch):
    """``code, out, err = to_hub("hf:…")``: this server is the Hub, and nobody is logged in elsewhere."""
    redirect(monkeypatch, hub, tmp_path)

    def run(to, *more, token=hub.token):
        monkeypatch.setenv("HF_TOKEN", token)
        code, out, err = publish(to, *more)
        assert token not in out + err
        return code, out, err

    return run


def test_a_space_is_made_filled_and_then_left_alone(hub, to_hub):
    code, out, err = to_hub("hf:nobody/boards")
    assert code == 0, err
    assert "/spaces/nobody/boards/commit/" in out
    assert (hub.created["type"], hub.created["sdk"]) == ("space", "static")
    files = hub.repositories["spaces", "nobody/boards"][-1]
    assert files[f"records/{PLACE}"] == (RECORDS / PLACE).read_bytes()
    assert b"<h1>" in files["index.html"]
    hub.asked.clear()
    code, out, err = to_hub("hf:spaces/nobody/boards")
    assert (code, out) == (0, "") and "nothing to do" in err
    assert {method for method, _ in hub.asked} == {"GET"}


@pytest.mark.slow
def test_a_data_set_keeps_its_card_and_loses_old_pages(hub, to_hub):
    site = dict.fromkeys(("boards/old.html", "assets/site.css", "assets/site.js"), b"yesterday")
    commits = [{"README.md": b"a card", **site}]
    hub.repositories["datasets", "nobody/records"] = commits
    code, out, err = to_hub("hf:datasets/nobody/records", "--dry-run", "--format", "json")
    assert code == 0, err
    assert {"what": "remove", "file": "boards/old.html"} in json.loads(out)
    assert len(commits) == 1
    assert to_hub("hf:datasets/nobody/records")[0] == 0
    assert commits[-1]["README.md"] == b"a card" and "boards/old.html" not in commits[-1]
    assert hub.created is None


@pytest.fixture
def large_files(hub, monkeypatch):
    """The Hub keeps scripts and styles beside git, by Git LFS: its own protocol takes servers of its own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    hub.large = (".css", ".js")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # huggingface_hub's of httpx
def test_what_the_hub_keeps_beside_git_gets_there_and_is_known_again(hub, to_hub, large_files):
    code, out, err = to_hub("hf:nobody/boards")
    assert code == 0, err
    files = hub.repositories["spaces", "nobody/boards"][-1]
    large = {path for path, data in files.items() if isinstance(data, Large)}
    assert large and all(path.endswith(hub.large) for path in large)
    assert sum(method == "PUT" for method, _ in hub.asked) == len(large)
    code, out, err = to_hub("hf:nobody/boards")
    assert (code, out) == (0, "") and "nothing to do" in err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
def test_a_hub_whose_store_is_full_is_one_line(hub, to_hub, large_files):
    hub.full = True
    code, out, err = to_hub("hf:nobody/boards")
    assert (code, out) == (1, "") and "Traceback" not in err
    assert "the Hub did not take all files of nobody/boards: Error while uploading 'assets/" in err
    assert hub.repositories["spaces", "nobody/boards"] == [{}], "nothing half there"


@pytest.mark.slow
def test_who_is_overtaken_on_the_hub_is_told(hub, to_hub):
    hub.repositories["spaces", "nobody/boards"] = [{}]
    hub.overtaken = True
    code, out, err = to_hub("hf:nobody/boards")
    assert (code, out) == (1, "") and "nobody/boards has diverged" in err
    assert hub.repositories["spaces", "nobody/boards"][-1] == {"index.html": b"first!"}


@pytest.mark.slow
def test_records_on_the_hub_are_never_taken_back(hub, to_hub):
    hub.repositories["spaces", "nobody/boards"] = [{"records/other@1/fedavg/seed-0/record.json": b"{}"}]
    code, out, err = to_hub("hf:nobody/boards")
    assert (code, out) == (1, "") and "records/other@1/fedavg/seed-0/record.json" in err
    assert len(hub.repositories["spaces", "nobody/boards"]) == 1


def test_a_token_that_may_not_write_is_refused_in_a_line(hub, to_hub):
    code, out, err = to_hub("hf:nobody/boards", token="hf_" + "y" * 30)
    assert (code, out) == (1, "")
    assert "HTTP 403" in err and "HF_TOKEN" in err and "yyyy" not in err
    assert len(err.splitlines()) == 1
    assert not hub.repositories


@pytest.mark.slow
def test_a_hub_that_is_not_there_is_one_line(hub, to_hub):
    hub.shutdown()
    hub.server_close()
    code, out, err = to_hub("hf:nobody/boards")
    assert (code, out) == (1, "")
    assert "can't reach the Hub for nobody/boards" in err and len(err.splitlines()) == 1
