"""GitHub workflows: what they may do, and the steps that check hand-ins run as a runner runs them."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import git
from records_of_ours import PLACE, edited, everywhere, put, values

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EVENT = "${{ github.event.pull_request.base.sha || 'HEAD' }}", "${{ github.event.pull_request.base.sha }}"
"""How the steps name the commit that somebody wants to add to."""


def read(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())


@pytest.fixture(scope="module")
def workflow():
    return read("leaderboard")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_privileges(path):
    """It runs with a token that can only read, knows no secrets and puts no foreign text into a script."""
    workflow = yaml.safe_load(path.read_text())
    triggers = workflow[True]  # YAML's reading of "on"
    assert "secrets." not in path.read_text()
    assert set(triggers) <= {"pull_request", "push", "schedule", "workflow_dispatch"}
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert name == "publish" or "permissions" not in job
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
            assert "${{" not in step.get("run", ""), "an expression in a script is text that becomes code"


def test_what_may_publish_runs_nothing_of_the_repository_and_nothing_handed_in(workflow):
    job = workflow["jobs"]["publish"]
    assert job["permissions"] == {"pages": "write", "id-token": "write"}
    assert job["if"].startswith("github.event_name != 'pull_request' && ")
    assert [step["uses"].partition("@")[0] for step in job["steps"]] == ["actions/deploy-pages"]
    assert {"records", "tables", "site"} <= {*job["needs"]}, "only what was checked"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_named_by_commit(path):
    """A tag can be moved to other code; a commit can't."""
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    used = {step["uses"] for job in jobs for step in job["steps"] if "uses" in step}
    assert used and all(len(bytes.fromhex(name.partition("@")[2])) == 20 for name in used)


def test_the_tests_run_on_every_change_and_all_of_them_every_night():
    workflow = read("tests")
    assert {"pull_request", "push", "schedule"} <= set(workflow[True])
    assert workflow[True]["pull_request"] is None, "of whatever paths"
    test, nightly = workflow["jobs"]["test"], workflow["jobs"]["all"]
    assert "if" not in test and "schedule" in nightly["if"]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f">={test['strategy']['matrix']['python'][0]}" == oldest
    scripts = [[step["run"] for step in job["steps"] if "run" in step] for job in (test, nightly)]
    assert {"make setup", "make check", "make test"} <= set(scripts[0]) and "make test-all" in scripts[1]
    makefile = (ROOT / "Makefile").read_text()
    for target in (run.removeprefix("make ") for runs in scripts for run in runs if run.startswith("make ")):
        assert f"\n{target}: " in makefile


class Runner:
    """The scripts of a job, in a workspace with the repository where the job checks it out."""

    def __init__(self, workspace, job, submission):
        self.workspace, self.job, self.submission = workspace, job, submission
        self.base = git(self.submission, "rev-parse", "HEAD").strip()

    def step(self, name):
        """Exit code and output of the step called ``name``."""
        (step,) = [step for step in self.job["steps"] if step.get("name") == name]
        given = {key: self.base if value in EVENT else value for key, value in step.get("env", {}).items()}
        assert "${{" not in str(given)
        environment = os.environ | given | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(self.workspace / "summary.md"),
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-c", step["run"]],
            cwd=self.workspace, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def hand_in(self):
        git(self.submission, "add", "--all")
        git(self.submission, "commit", "--message", "mine")


@pytest.fixture
def runner(tmp_path, fedbench, workflow):
    """Three records of emoji-tt and the pages of all boards are merged."""
    boards = tmp_path / "runner" / "submission" / "leaderboards"
    for seed in range(3):
        place = PLACE.parent.parent / f"seed-{seed}" / "record.json"
        put(boards / "records", values(place), place)
    assert fedbench("leaderboard", "build", "--records", boards / "records")[0] == 0
    git(boards.parent, "init", "-b", "main")
    git(boards.parent, "add", ".")
    git(boards.parent, "commit", "-m", "boards")
    return Runner(boards.parent.parent, workflow["jobs"]["records"], boards.parent)


PAGES = "Pages that were handed in are those that are built here"


def test_a_hand_in_of_records_passes(runner):
    place = Path("emoji-tt@1", "moon", "seed-0", "record.json")
    put(runner.submission / "leaderboards" / "records", values(place), place)
    runner.hand_in()
    code, said = runner.step("Verify")
    assert code == 0, said
    comment = (runner.workspace / "comment.md").read_text()
    assert "4 files: 4 consistent." in comment and (runner.workspace / "summary.md").read_text() == comment
    assert runner.step(PAGES) == (0, "")


@pytest.mark.slow
def test_a_forged_record_and_a_forged_page_fail(runner):
    put(runner.submission / "leaderboards" / "records", edited(lambda record: everywhere(record, 0.9)))
    page = runner.submission / "leaderboards" / "alignment-nano.md"
    page.write_text(page.read_text().replace("fedavg", "mine"))
    shutil.rmtree(runner.submission / "leaderboards" / "records" / PLACE.parent.parent / "seed-2")
    runner.hand_in()
    code, said = runner.step("Verify")
    assert code == 1, said
    comment = (runner.workspace / "comment.md").read_text()
    assert "changed" in comment and "seed-2" in comment
    code, said = runner.step(PAGES)
    assert code == 1 and "alignment-nano.md is not current" in said


@pytest.mark.slow
def test_the_site_is_built_with_its_records_where_it_is_uploaded_from(runner, workflow):
    job = workflow["jobs"]["site"]
    code, said = Runner(runner.submission, job, runner.submission).step("Build")
    assert code == 0, said
    (upload,) = [step for step in job["steps"] if "upload-pages-artifact" in step.get("uses", "")]
    site = runner.submission / upload["with"]["path"]
    assert (site / "index.html").is_file() and (site / "records" / PLACE).is_file()


def test_a_site_that_is_handed_in_is_no_concern(runner):
    """It is made from the records after the merge; whatever lies there is ignored."""
    page = runner.submission / "leaderboards" / "site" / "index.html"
    page.write_text("mine")
    runner.hand_in()
    assert runner.step(PAGES) == (0, "")
