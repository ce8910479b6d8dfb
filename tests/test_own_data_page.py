"""docs/own-data.md: its scenarios run as they are printed, on the data that its first command writes."""

import json
import re
from pathlib import Path

import own_data
import pytest
from fedbench_huggingface.options import ImageTextOptions
from fedbench_huggingface.preference_options import PreferencesOptions

from fedbench.api.options import locations

PAGE = (Path(__file__).parent.parent / "docs" / "own-data.md").read_text(encoding="utf-8")
WRITTEN = dict(re.findall(r"```toml\n# (\S+\.toml)\n(.*?)```", PAGE, re.S))
SCENARIOS = {name: text for name, text in WRITTEN.items() if '"image-text"' in text}


def test_a_scenario_of_each_format_has_ten_lines_at_most():
    assert len(SCENARIOS) == len(own_data.WRITERS)
    for kind in own_data.WRITERS:
        (text,) = (text for text in SCENARIOS.values() if f'"data/{kind}' in text)
        assert len(text.splitlines()) <= 10


def test_preferences_have_ten_lines_and_run(fedbench):
    """A step on fewer images; the transcript is of the same scenario."""
    (name,) = WRITTEN.keys() - SCENARIOS.keys()
    assert len(WRITTEN[name].splitlines()) <= 10
    assert (
        "$ time fedbench run -m mor -s preferences.toml" in PAGE
        and "preferences@1 mor seed 0: round 3/3" in PAGE
    )
    own_data.write_all(Path("data"), images=60)
    Path(name).write_text(WRITTEN[name])
    small = [
        "federation.rounds=1",
        "rewards.epochs=1",
        "policy.steps=1",
        "policy.queries=2",
        "policy.group=2",
    ]
    changes = [word for change in small for word in ("--set", change)]
    code, _, err = fedbench("run", "-m", "mor", "-s", name, *changes)
    assert code == 0, err
    (record,) = Path("runs").rglob("record.json")
    content = json.loads(record.read_text())
    assert content["status"] == "completed" and "test/answer/exact_match" in content["final"]
    assert len(content["data"]["client_examples"]) == 4 and str(Path.cwd()) not in record.read_text()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_of_the_page_runs(name, fedbench):
    """A round, on fewer images."""
    own_data.write_all(Path("data"), images=160)
    Path(name).write_text(SCENARIOS[name])
    code, _, err = fedbench("run", "-m", "fedavg", "-s", name, "--set", "federation.rounds=1")
    assert code == 0, err
    (record,) = Path("runs").rglob("record.json")
    content = json.loads(record.read_text())
    assert content["status"] == "completed"
    assert {"test/choice/accuracy", "validation/generate/exact_match"} <= set(content["final"])


def test_the_transcripts_are_of_these_scenarios():
    """Each has its command, its first and last round and its time."""
    for name in SCENARIOS:
        stem = name.removesuffix(".toml")
        (shown,) = re.findall(rf"\$ time fedbench run -m fedavg -s {name}\n(.*?)```", PAGE, re.S)
        assert f"{stem}@1 fedavg seed 0: round 10/10" in shown and "real" in shown


def test_the_page_names_every_option():
    """But those of where files lie."""
    fields = {*ImageTextOptions.model_fields, *PreferencesOptions.model_fields}
    for option in fields - {*locations(ImageTextOptions), "local_files_only"}:
        assert re.search(rf"`[^`\n]*\b{option}\b", PAGE), option


def test_the_errors_of_the_page_are_what_is_said(fedbench):
    own_data.write_all(Path("data"), images=160)
    Path("folder.toml").write_text(SCENARIOS["folder.toml"])
    own_data.write_csv(Path("broken"), list(own_data.samples(160)))
    table = Path("broken/metadata.csv")
    lines = table.read_text().splitlines()
    cells = lines[3].split(",")
    lines[3] = ",".join([*cells[:2], "", cells[3]])
    table.write_text("\n".join(lines))
    errors = re.findall(r"(--set \S+)\nfedbench: (.*?)(?=\n[$`])", PAGE, re.S)
    assert len(errors) == 2
    for arguments, said in errors:
        code, _, err = fedbench("run", "-m", "fedavg", "-s", "folder.toml", *arguments.split())
        shown = err.strip().removeprefix("fedbench: ").replace(f"{Path.cwd()}/", "")
        assert (code, shown) == (2, " ".join(said.split()))
        assert not Path("runs").exists(), "nothing half-written"
