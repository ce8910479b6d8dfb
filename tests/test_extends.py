"""``extends``: what a child takes over, what it says itself, and what is said when that can't be."""

from pathlib import Path

import pytest

from fedbench.api.scenario import NOT_COMPARED
from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.plugins import Plugins
from fedbench.scenario_files import load_scenario
from fedbench.scenario_text import scenario_toml

BASE = """\
version = 1
track = "alignment"
summary = "the parent"

[backbone]
name = "nano"

[data]
name = "emoji"
sha256 = "{pin}"

[data.options]
views = 2
texts_per_view = 2

[data.files]
folder = "photos"

[partition]
name = "dirichlet"
sha256 = "{pin}"

[partition.options]
label = "category"
alpha = 0.3

[federation]
clients = 5
rounds = 2
cohort = 3

[training]
batch_size = 4
lr = 1e-3
betas = [0.9, 0.999]

[faults]
dropout = 0.1

[evaluation]
primary = "unseen-concept/category/accuracy"
metrics = ["choice"]
each_round = ["unseen-concept/category"]
final = ["unseen-concept/category", "unseen-concept/yesno"]
""".format(pin="ab" * 32)

HEAD = 'extends = "base.toml"\nname = "child"\nversion = 7\nsummary = "the child"\n'


@pytest.fixture
def child(tmp_path):
    """Load a child of BASE, which lies in a folder of its own beside photos."""
    (tmp_path / "shared" / "photos").mkdir(parents=True)
    (tmp_path / "shared" / "base.toml").write_text(f'name = "base"\n{BASE}')

    def load(text="", head=""):
        path = tmp_path / "own" / "child.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text((head or HEAD.replace("base.toml", "../shared/base.toml")) + text)
        return load_scenario(path)

    return load


def test_tables_are_merged_and_lists_replaced(child):
    scenario = child('[training]\nlr = 0.5\n[evaluation]\nfinal = ["unseen-concept/category"]\n')
    assert (scenario.title, scenario.summary) == ("child@7", "the child")
    assert (scenario.training.lr, scenario.training.batch_size) == (0.5, 4)
    assert scenario.evaluation.final == ("unseen-concept/category",)
    assert scenario.evaluation.metrics == ("choice",) and scenario.faults.dropout == 0.1


def test_the_fingerprint_is_that_of_the_same_scenario_written_out(child, tmp_path):
    scenario = child("[training]\nlr = 0.5\n[partition.options]\nalpha = 0.1\n")
    text = scenario_toml(scenario)
    assert "extends" not in text and scenario.fingerprint in text
    (tmp_path / "child.toml").write_text(text)
    again = load_scenario(tmp_path / "child.toml")
    assert again.fingerprint == scenario.fingerprint
    assert again.model_dump(exclude=NOT_COMPARED) == scenario.model_dump(exclude=NOT_COMPARED)
    assert load_scenario(tmp_path / "child.toml", {"training.lr": 0.25}).fingerprint != again.fingerprint


def test_a_parents_files_lie_where_they_lay_for_the_parent(child, tmp_path):
    photos = child().data.files["folder"]
    assert Path(photos).is_absolute() and Path(photos).resolve() == tmp_path / "shared" / "photos"
    assert child('[data.files]\nfolder = "mine"\n').data.files == {"folder": "mine"}
    assert f'folder = "{photos}"' in scenario_toml(child())


def test_a_part_of_another_name_comes_without_the_parents_options(child):
    scenario = child('[partition]\nname = "iid"\n')
    assert (scenario.partition.options, scenario.partition.sha256) == ({}, None)
    assert scenario.data.options == {"views": 2, "texts_per_view": 2}


PINS = {
    "nothing": ("", True, True),
    "training": ("[training]\nlr = 0.5\n", True, True),
    "a place": ('[data.files]\nfolder = "mine"\n', True, True),
    "data": ("[data.options]\nviews = 3\n", False, False),
    "partition": ("[partition.options]\nalpha = 0.1\n", True, False),
    "clients": ("[federation]\nclients = 4\n", True, False),
    "backbone": ('[backbone]\nname = "nano-sighted"\n', True, False),
}


@pytest.mark.parametrize(("text", "data", "partition"), PINS.values(), ids=PINS.keys())
def test_a_pin_goes_where_what_it_pins_changes(child, text, data, partition):
    scenario = child(text)
    assert (scenario.data.sha256 is not None, scenario.partition.sha256 is not None) == (data, partition)


def test_a_childs_own_pin_stays(child):
    pin = "cd" * 32
    scenario = child(f'[partition]\nsha256 = "{pin}"\n[partition.options]\nalpha = 0.1\n')
    assert scenario.partition.sha256 == pin


def test_without_takes_away(child):
    scenario = child('without = ["faults", "federation.cohort"]\n')
    assert scenario.faults is None and scenario.federation.cohort is None
    scenario = child('without = ["faults"]\n[faults]\nstraggling = 0.5\n')
    assert (scenario.faults.dropout, scenario.faults.straggling) == (0, 0.5)


def test_a_parent_may_extend_another(child, tmp_path):
    middle = (
        'extends = "shared/base.toml@1"\nname = "middle"\nversion = 3\n[training]\nlr = 0.5\nbatch_size = 9\n'
    )
    (tmp_path / "middle.toml").write_text(middle)
    scenario = child("[training]\nlr = 0.25\n", HEAD.replace("base.toml", "../middle.toml@3"))
    assert (scenario.training.lr, scenario.training.batch_size) == (0.25, 9)
    assert Path(scenario.data.files["folder"]).resolve() == tmp_path / "shared" / "photos"


def test_an_installed_scenario_is_extended_by_name(child):
    installed = load_scenario(Catalog(Plugins()).scenarios["emoji-ii"].spec.path)
    for wanted in ("emoji-ii", "emoji-ii@2", "emoji/emoji-ii"):
        scenario = child("[training]\nlr = 0.5\n", HEAD.replace("base.toml", wanted))
        own = {"name", "version", "summary", "training"}
        assert scenario.model_dump(exclude=own) == installed.model_dump(exclude=own)
        assert scenario.training == installed.training.model_copy(update={"lr": 0.5})
        Catalog(Plugins()).resolve(scenario)


BAD = {
    "no such name": ("emoji-iii", "", 1, "can't extend 'emoji-iii'", "did you mean 'emoji-ii'?"),
    "no such file": ("no.toml", "", 1, "can't extend 'no.toml'", "No such file"),
    "a file by its name": (
        "beside",
        "",
        1,
        "unknown scenario 'beside'",
        "named with its ending: beside.toml",
    ),
    "another version": ("emoji-ii@1", "", 1, "can't extend 'emoji-ii@1'", "what is there is emoji-ii@2"),
    "itself": ("child.toml", "", 1, "it extends itself", "child.toml → "),
    "through another": ("circle.toml", "", 1, "it extends itself", "circle.toml → "),
    "nothing": ("", "", 1, "bad value for 'extends'", "names one scenario"),
    "unknown key": (
        "emoji-ii",
        "[training]\nlearning = 1\n",
        6,
        "unknown key 'training.learning'",
        "known keys",
    ),
    "value": ("emoji-ii", "[training]\nlr = 0.0\n", 6, "'training.lr'", "greater than 0"),
    "two that don't go together": ("emoji-ii", "[federation]\ncohort = 6\n", 5, "'federation'", "cohort 6"),
    "without what isn't there": ("emoji-ii", 'without = ["fault"]\n', 5, "'fault'", "has no such key"),
    "without a number": ("emoji-ii", "without = 3\n", 5, "bad value for 'without'", 'without = ["faults"]'),
    "mistyped": ("emoji-ii", "extend = 1\n", 5, "unknown key 'extend'", "did you mean 'extends'?"),
}


@pytest.mark.parametrize(("wanted", "text", "line", "what", "more"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_one_line_with_the_place(child, tmp_path, wanted, text, line, what, more):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "circle.toml").write_text('extends = "child.toml"\n')
    (tmp_path / "own" / "beside.toml").write_text(BASE)
    with pytest.raises(UsageError) as raised:
        child(text, HEAD.replace("base.toml", wanted))
    message = str(raised.value)
    assert what in message and more in message and "\n" not in message
    assert f"own/{'circle' if 'through' in message else 'child'}.toml, line {line}" in message or (
        "circle" in wanted and "circle.toml, line 1" in message
    )


def test_what_is_wrong_in_the_parent_is_named_there(child, tmp_path):
    base = tmp_path / "shared" / "base.toml"
    base.write_text(base.read_text().replace("lr = 1e-3", "lr = 0.0"))
    with pytest.raises(UsageError, match=r"'training.lr' in .*shared/base.toml, line 35"):
        child("[training]\nbatch_size = 3\n")
    base.write_text("version = 1\na b\n")
    with pytest.raises(
        UsageError, match=r"can't extend .*child.toml, line 1: .*not valid TOML in .*base.toml"
    ):
        child()


def test_without_needs_something_to_take_from(tmp_path):
    path = tmp_path / "alone.toml"
    path.write_text(f'without = ["faults"]\nname = "alone"\n{BASE}')
    with pytest.raises(UsageError, match=r"'without' says nothing in .*line 1: the file extends no other"):
        load_scenario(path)


INSTALLED = [entry.spec.path for entry in Catalog(Plugins(strict=True)).scenarios.entries]


@pytest.mark.parametrize("path", INSTALLED, ids=lambda path: path.stem)
def test_what_show_writes_is_the_same_scenario(fedbench, tmp_path, path):
    code, out, err = fedbench("show", "scenario", path.stem, "--toml")
    assert (code, err) == (0, "")
    written = tmp_path / path.name
    written.write_text(out, encoding="utf-8")
    assert load_scenario(written).fingerprint == load_scenario(path).fingerprint
    assert fedbench("show", "scenario", written, "--toml")[:2] == (0, out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method", "fedavg", "--toml"], "--toml is for scenarios only"),
        (["scenario", "emoji-ii", "--toml", "--label", "kind"], "--toml writes the settings alone"),
        (["scenario", "emoji-ii", "--toml", "--format", "json"], "--toml writes the settings alone"),
    ],
)
def test_toml_goes_alone(fedbench, words, said):
    code, out, err = fedbench("show", *words)
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1


def test_texts_that_toml_escapes_come_back(child, tmp_path):
    odd = 'résumé "🦓" \\ line\\nbreak \\u007f'.replace('"', '\\"').replace("\\ ", "\\\\ ")
    scenario = child(f'[data.options]\nviews = ["{odd}", "b"]\ntexts_per_view = {{ a = "{odd}" }}\n')
    (tmp_path / "child.toml").write_text(scenario_toml(scenario), encoding="utf-8")
    assert load_scenario(tmp_path / "child.toml").data.options == scenario.data.options
