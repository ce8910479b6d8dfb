"""Scenario files: what is wrong, on which line; what --set changes; what the fingerprint depends on."""

import re
from pathlib import Path

import pytest

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.plugins import Plugins
from fedbench.scenario_files import load_scenario

GOOD = """\
# A scenario with every kind of value.
name = "small"
version = 1
track = "alignment"
summary = "for tests"

[backbone]
name = "nano"

[data]
name = "emoji"
options = { views = 1 }

[partition]
name = "iid"

[partition.options]
seed = 3

[federation]
clients = 5
rounds = 2

[training]
batch_size = 4
lr = 1e-3
betas = [0.9, 0.999]

[evaluation]
primary = "unseen-concept/category/accuracy"
metrics = ["choice"]
each_round = ["unseen-concept/category"]
final = ["unseen-concept/category"]
"""


def line(text):
    """The number of the (only) line of GOOD that is ``text``."""
    (found,) = (n for n, other in enumerate(GOOD.splitlines(), 1) if other == text)
    return found


@pytest.fixture
def write(tmp_path):
    """Write a scenario file: GOOD with one line replaced (by nothing, one, or several)."""

    def write(old="", new="", name="small.toml"):
        lines = GOOD.splitlines()
        if old:
            lines[line(old) - 1] = new
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def refused(path, changes=None):
    with pytest.raises(UsageError) as raised:
        load_scenario(path, changes)
    message = str(raised.value)
    assert "\n" not in message and raised.value.exit_code == 2
    return message


BAD = {
    "unknown key at the top": (
        'summary = "for tests"',
        'summary = "x"\nsumary = "x"',
        1,
        ["'sumary'", "known keys: name, version"],
    ),
    "unknown key in a table": (
        "rounds = 2",
        "rounds = 2\nround = 3",
        1,
        ["'federation.round'", "did you mean 'rounds'?", "known keys: clients, rounds, cohort"],
    ),
    "unknown table": (
        "[training]",
        "[trainning]",
        0,
        ["unknown key 'trainning'", "did you mean 'training'?"],
    ),
    "mistyped key": ("clients = 5", "cleints = 5", 0, ["'federation.cleints'", "did you mean 'clients'?"]),
    "missing key": ("clients = 5", "", -1, ["missing key 'federation.clients'"]),
    "wrong type": ("rounds = 2", 'rounds = "two"', 0, ["'federation.rounds'", "valid integer"]),
    "a section that is a value": (
        "options = { views = 1 }",
        "options = 3",
        0,
        ["'data.options'", "object"],
    ),
    "wrong type in a list": (
        "betas = [0.9, 0.999]",
        'betas = [0.9, "x"]',
        0,
        ["'training.betas.1'", "valid number"],
    ),
    "out of range": ("lr = 1e-3", "lr = 0.0", 0, ["'training.lr'", "greater than 0"]),
    "not a number": ("lr = 1e-3", "lr = nan", 0, ["'training.lr'", "finite"]),
    "not a choice": (
        'track = "alignment"',
        'track = "aligned"',
        0,
        ["'track'", "'alignment' or 'preference'"],
    ),
    "a truth for a number": ("rounds = 2", "rounds = true", 0, ["'federation.rounds'", "valid integer"]),
    "a text for a number": ("rounds = 2", 'rounds = "2"', 0, ["'federation.rounds'", "valid integer"]),
    "a part for a whole": ("rounds = 2", "rounds = 2.0", 0, ["'federation.rounds'", "valid integer"]),
    "a switch for a number": ("clients = 5", "clients = true", 0, ["'federation.clients'"]),
    "cohort > clients": ("clients = 5", "clients = 5\ncohort = 6", -1, ["cohort 6 is larger than clients 5"]),
    "no pass at all": ("rounds = 2", "rounds = 2\nepochs = 0", 1, ["'federation.epochs'", "greater than"]),
    "a client that stands still": (
        "rounds = 2",
        "rounds = 2\nspeed = 0.0",
        1,
        ["'federation.speed.0'", "greater than 0"],
    ),
    "a client faster than all": (
        "rounds = 2",
        "rounds = 2\nspeed = [1.0, 1.5]",
        1,
        ["'federation.speed.1'", "less than or equal to 1"],
    ),
    "speeds not as many as clients": (
        "rounds = 2",
        "rounds = 2\nspeed = [1.0, 0.5]",
        -2,
        ["'federation'", "speed has 2 values for 5 clients: give 1 or 5"],
    ),
    "a speed that is none": ("rounds = 2", 'rounds = 2\nspeed = "slow"', 1, ["'federation.speed", "number"]),
    "primary never measured": (
        'primary = "unseen-concept/category/accuracy"',
        'primary = "a/b/c"',
        -1,
        ["'a/b/c'", "not in each_round"],
    ),
    "an attack by nobody": (
        "[training]",
        "[faults]\nbyzantine = 0.05\n[training]",
        0,
        ["'faults'", "byzantine 0.05 makes 0 of 5 clients attack"],
    ),
    "an attack by most": (
        "[training]",
        "[faults]\nbyzantine = 0.5\n[training]",
        1,
        ["'faults.byzantine'", "less than 0.5"],
    ),
    "a fault that says nothing": (
        "[training]",
        '[faults]\nattack = "gaussian"\n[training]',
        0,
        ["'faults'", "attack says nothing without byzantine"],
    ),
    "a section that says nothing": (
        "[training]",
        "[modality]\n[training]",
        0,
        ["'modality'", "it says nothing: give numbers of clients"],
    ),
    "counts that do not add up": (
        "[training]",
        "[modality]\nimage_text = 3\nimage_only = 1\n[training]",
        0,
        ["'modality'", "add up to 4, but there are 5 clients"],
    ),
    "counts and rates": (
        "[training]",
        "[modality]\nimage_text = 5\nmissing_texts = 0.1\n[training]",
        0,
        ["'modality'", "image_text counts clients and missing_texts is a rate of examples: give one kind"],
    ),
    "a rate above one": (
        "[training]",
        "[modality]\nmissing_texts = 1.1\n[training]",
        1,
        ["'modality.missing_texts'", "less than or equal to 1"],
    ),
    "rates above one": (
        "[training]",
        "[modality]\nmissing_texts = 0.6\nmissing_images = 0.6\n[training]",
        0,
        ["'modality'", "add up to more than 1"],
    ),
    "clients with nothing to train": (
        "[training]",
        "[modality]\nimage_text = 3\ntext_only = 2\n[training]",
        0,
        ["'modality'", "a client without any image has nothing to train"],
    ),
    "bad pin": ('name = "nano"', 'name = "nano"\nsha256 = "abc"', 1, ["'backbone.sha256'"]),
    "another name": (
        'name = "small"',
        'name = "smaller"',
        0,
        ["called 'smaller'", "its name must be the file's"],
    ),
    "no name at all": ('name = "small"', 'name = "Small One"', 0, ["'name'", "pattern"]),
}


@pytest.mark.parametrize(("old", "new", "offset", "said"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_named_with_its_line(write, old, new, offset, said):
    path = write(old, new)
    message = refused(path)
    assert f"{path}, line {max(1, line(old) + offset)}" in message
    assert all(part in message for part in said), message


@pytest.mark.parametrize(
    ("text", "place"), [("a = [1,\n", "line 34, the end"), ("\na b = 1\n", "line 35, column 3")]
)
def test_invalid_toml_names_the_line(write, text, place):
    path = write()
    path.write_text(GOOD + text, encoding="utf-8")
    message = refused(path)
    assert "not valid TOML" in message and str(path) in message and place in message


def test_an_unreadable_file_says_why(tmp_path, write):
    missing = refused(tmp_path / "no.toml")
    assert missing == f"can't read the scenario in {tmp_path / 'no.toml'}: No such file or directory"
    assert "directory" in refused(tmp_path)
    path = write()
    path.write_bytes(b"\xff\xfe")
    assert "utf-8" in refused(path)


def test_the_name_must_be_the_files(write):
    assert "its name must be the file's" in refused(write(name="other.toml"))


def test_a_good_file_is_what_it_says(write):
    scenario = load_scenario(write())
    assert scenario.title == "small@1" and scenario.folder == write().parent
    assert scenario.federation.cohort is None and scenario.training.betas == (0.9, 0.999)
    assert scenario.data.options == {"views": 1} and not scenario.modified
    with pytest.raises(ValueError, match="frozen"):
        scenario.version = 2


def test_a_speed_of_one_is_left_out_and_one_number_is_for_all(write):
    plain, full, half = (
        load_scenario(write(), {"federation.speed": speed} if speed else {}) for speed in (None, 1, 0.5)
    )
    assert plain.fingerprint == full.fingerprint != half.fingerprint
    assert half.federation.speed == (0.5,)
    assert load_scenario(write(), {"federation.speed": [0.5]}).fingerprint == half.fingerprint


@pytest.mark.parametrize(("key", "value"), [("epochs", 2), ("speed", 0.5)])
def test_the_preference_track_has_passes_of_its_own(key, value):
    (path,) = Path(__file__).parent.glob("toy_preferences/*.toml")
    with pytest.raises(UsageError, match=f"no use for federation.{key}: rewards.epochs says"):
        load_scenario(path, {f"federation.{key}": value})


def test_the_preference_track_has_no_modalities():
    (path,) = Path(__file__).parent.glob("toy_preferences/*.toml")
    with pytest.raises(UsageError, match="the preference track has no use for a"):
        load_scenario(path, {"modality.missing_texts": 0.5})


def test_set_changes_a_value_and_marks_the_scenario(write):
    plain = load_scenario(write())
    changes = {"training.lr": 0.5, "partition.options.seed": 4, "federation.cohort": 2, "budget.examples": 10}
    changed = load_scenario(write(), changes)
    assert changed.modified and changed.training.lr == 0.5 and changed.partition.options == {"seed": 4}
    assert changed.federation.cohort == 2 and changed.budget.examples == 10
    assert changed.fingerprint != plain.fingerprint
    same = load_scenario(write(), {"training.lr": 1e-3})
    assert same.modified and same.fingerprint == plain.fingerprint


BAD_CHANGES = {
    "unknown section": ({"foo.bar": 1}, "--set foo.bar=1: unknown key 'foo'", "known keys: name"),
    "unknown key": (
        {"federation.round": 1},
        "--set federation.round=1: unknown key",
        "did you mean 'rounds'?",
    ),
    "wrong type": ({"training.lr": "fast"}, "--set training.lr=fast: bad value", "valid number"),
    "out of range": ({"training.lr": -1}, "--set training.lr=-1: bad value", "greater than 0"),
    "in a list": ({"training.betas": [1]}, "--set training.betas=[1]: missing key", "betas.1"),
    "together": (
        {"training.lr": 1, "federation.cohort": 6},
        "--set federation.cohort=6: ",
        "larger than clients 5",
    ),
    "a section": ({"federation": 3}, "--set federation=3: bad value for 'federation'", "object"),
    "below a value": ({"version.minor": 3}, "--set version.minor: ", "'version' is a value"),
    "name": ({"name": "other"}, "--set name: ", "keeps its name"),
    "version": ({"version": 2}, "--set version: ", "keeps its version"),
}


@pytest.mark.parametrize(("changes", "start", "said"), BAD_CHANGES.values(), ids=BAD_CHANGES.keys())
def test_a_bad_set_is_blamed_and_not_the_file(write, changes, start, said):
    path = write()
    message = refused(path, changes)
    assert message.startswith(start) and said in message, message
    assert str(path) not in message


def test_set_does_not_hide_what_is_wrong_with_the_file(write):
    path = write("clients = 5", "clients = 0")
    assert f"{path}, line {line('clients = 5')}" in refused(path, {"federation.clients": 5})


def test_the_fingerprint_is_of_what_can_change_a_number(write):
    """Pinned: if this value changes, every published scenario needs a new version."""
    plain = load_scenario(write()).fingerprint
    assert plain == "ef0d49952d097ab639f5a170808eaabc730a400676ab0a6f2270320abaaed2e4"
    assert load_scenario(write('summary = "for tests"', 'summary = "another"')).fingerprint == plain
    assert load_scenario(write("rounds = 2", "# a comment\nrounds = 2")).fingerprint == plain
    assert load_scenario(write("betas = [0.9, 0.999]", "")).fingerprint == plain, "a default, written or not"
    for old, new in {
        "version = 1": "version = 2",
        "rounds = 2": "rounds = 3",
        "seed = 3": "seed = 4",
        'metrics = ["choice"]': 'metrics = ["choice", "yesno"]',
    }.items():
        assert load_scenario(write(old, new)).fingerprint != plain


@pytest.mark.parametrize("example", ["alignment", "preference", "child"])
def test_the_examples_of_the_docs_are_scenarios(tmp_path, example):
    """The file as it is printed; its sections of the preference track in a file of that track."""
    page = (Path(__file__).parent.parent / "docs" / "scenarios.md").read_text()
    whole, sections, child = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "my-scenario.toml"
    if example == "alignment":
        path.write_text(whole)
    elif example == "child":
        path = tmp_path / "emoji-ii-slow.toml"
        path.write_text(child)
    else:
        path = tmp_path / "prefs-emoji-tasks.toml"
        shipped = Catalog(Plugins()).scenarios["prefs-emoji-tasks"].spec.path.read_text()
        kept = re.sub(r"\[(rewards|policy)\]\n.*?\n\n", "", shipped, flags=re.DOTALL)
        path.write_text(f"{kept}\n{sections}")
    scenario = load_scenario(path)
    assert (scenario.track == "preference") == (example == "preference")
    Catalog(Plugins()).resolve(scenario)


def test_every_installed_scenario_names_only_what_is_installed():
    catalog = Catalog(Plugins(strict=True))
    assert catalog.scenarios.entries
    for entry in catalog.scenarios.entries:
        catalog.resolve(load_scenario(entry.spec.path))


BAD_NAMES = {
    "backbone": ('name = "nano"', 'name = "nana"', "unknown backbone 'nana' — did you mean 'nano'?"),
    "data": ('name = "emoji"', 'name = "emojis"', "unknown dataset 'emojis' — did you mean 'emoji'?"),
    "data option": ("options = { views = 1 }", "options = { view = 1 }", "data 'emoji' has no option 'view'"),
    "data value": ("options = { views = 1 }", "options = { views = 0 }", "bad value 0 for option 'views'"),
    "partition": ('name = "iid"', 'name = "idd"', "unknown partitioner 'idd' — did you mean 'iid'?"),
    "partition option": ('name = "iid"', 'name = "manifest"', "partition 'manifest' has no option 'seed'"),
    "metric": (
        'metrics = ["choice"]',
        'metrics = ["choise"]',
        "unknown metric 'choise' — did you mean 'choice'?",
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_what_a_scenario_names_must_be_installed(write, old, new, said):
    scenario = load_scenario(write(old, new))
    with pytest.raises(UsageError, match="scenario small@1: ") as raised:
        Catalog(Plugins()).resolve(scenario)
    assert said in str(raised.value)


def test_a_byte_order_mark_is_no_text(write):
    path = write()
    plain = load_scenario(path).fingerprint
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_scenario(path).fingerprint == plain
    path.write_text(path.read_text(encoding="utf-8-sig"), encoding="utf-16")
    assert refused(path).endswith("save it as UTF-8")


@pytest.mark.parametrize("value", [True, "3", 2.5, None])
def test_a_change_is_read_as_strictly_as_a_file(write, value):
    assert "bad value for 'federation.rounds'" in refused(write(), {"federation.rounds": value})
