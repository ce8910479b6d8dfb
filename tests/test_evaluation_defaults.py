"""A scenario that says little: what it leaves out is what a longer one would say."""

import pytest

from fedbench.api.specs import FormSpec, MetricSpec
from fedbench.catalog import FILE, Catalog
from fedbench.errors import UsageError
from fedbench.evaluation_defaults import usual
from fedbench.plugins import Plugins
from fedbench.registry import Entry, Registry
from fedbench.scenario_files import load_scenario

SHORT = """\
backbone.name = "nano"
data.name = "image-text"
data.files.path = "photos"
data.options.prompt = "question"
federation.clients = 4
"""

LONG = """\
name = "mine"
version = 1
track = "alignment"
summary = "photos of four sites"

[backbone]
name = "nano"

[data]
name = "image-text"
files.path = "elsewhere"
options.prompt = "question"

[partition]
name = "iid"

[federation]
clients = 4
rounds = 10

[training]
batch_size = 16
lr = 1e-3

[evaluation]
primary = "test/choice/accuracy"
metrics = ["choice", "exact-match"]
each_round = ["test/choice"]
final = ["test/choice", "test/generate", "validation/choice", "validation/generate"]
"""


@pytest.fixture(scope="module")
def catalog():
    return Catalog(Plugins())


@pytest.fixture
def resolve(tmp_path, catalog):
    """Resolve a scenario ``mine`` of this text."""

    def resolve(text, changes=None):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return catalog.resolve(load_scenario(path, changes)).scenario

    return resolve


def test_what_is_left_out_is_what_a_whole_scenario_says(resolve):
    short, whole = resolve(SHORT), resolve(LONG)
    assert short.title == "mine@1" and short.fingerprint == whole.fingerprint
    assert resolve(SHORT, {"federation.rounds": 3}).fingerprint != whole.fingerprint
    changed = resolve(SHORT, {"federation.rounds": 3})
    assert changed.modified and changed.changes == {"federation.rounds": 3}


GIVEN = {
    "primary": (
        'primary = "test/generate/token_f1"\nmetrics = ["token-f1"]',
        ("test/generate/token_f1", ["test/generate"]),
    ),
    "each round": (
        'each_round = ["validation/generate"]',
        ("validation/generate/exact_match", ["validation/generate"]),
    ),
    "metrics": (
        'metrics = ["anls"]\neach_round = ["test/generate"]',
        ("test/generate/anls", ["test/generate"]),
    ),
}


@pytest.mark.parametrize(("given", "expected"), GIVEN.values(), ids=GIVEN)
def test_what_is_given_stays_and_the_rest_follows_from_it(resolve, given, expected):
    evaluation = resolve(f"{SHORT}[evaluation]\n{given}\n").evaluation
    assert (evaluation.primary, [*evaluation.each_round]) == expected
    assert len(evaluation.final) == 4 and evaluation.complete


def test_metrics_follow_from_the_forms_of_what_is_measured(resolve):
    only = SHORT + 'evaluation.final = ["test/choice"]\n'
    assert resolve(only).evaluation.metrics == ("choice",)
    assert set(resolve(SHORT).evaluation.metrics) == {"choice", "exact-match"}


SILENT = """\
backbone.name = "nano"
data.name = "emoji"
federation.clients = 4
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            SILENT,
            r"scenario mine@1: missing key 'evaluation.primary': data 'emoji' does not say which suites",
        ),
        (
            SHORT + 'evaluation.metrics = ["yesno"]\n',
            r"no primary measure follows .* the data has test/choice",
        ),
    ],
    ids=["no suites", "another form's metric"],
)
def test_what_does_not_follow_is_asked_for(resolve, text, said):
    with pytest.raises(UsageError, match=said):
        resolve(text)


def test_a_complete_scenario_is_not_looked_up(tmp_path, catalog):
    path = tmp_path / "mine.toml"
    path.write_text(LONG.replace("image-text", "not-installed"))
    scenario = load_scenario(path)
    assert catalog.completed(scenario) is scenario


def test_a_form_without_a_metric_of_its_own_takes_the_only_one():
    forms = Registry("form", [Entry(FormSpec("box", "x:y", "boxes", {}), FILE)])
    first, second = (Entry(MetricSpec(name, "x:y", "m", "box", (name,)), FILE) for name in ("iou", "area"))
    assert usual("box", forms, Registry("metric", [first])) == "iou"
    with pytest.raises(UsageError, match="no metric follows from the form 'box': there are: area, iou"):
        usual("box", forms, Registry("metric", [first, second]))
