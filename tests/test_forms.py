"""Forms of items: a plugin's own, its metrics, several right answers; what is wrong with one is said."""

import sys
from dataclasses import replace
from importlib import invalidate_caches
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import example_record, install_plugin

from fedbench import AlignmentData, FormSpec, Item, Likelihoods, Pair, PreferenceData, Suite
from fedbench.catalog import Catalog
from fedbench.cli.main import cli
from fedbench.data.checks import check_data, check_evaluation
from fedbench.errors import FedbenchError, PluginError, UsageError
from fedbench.evaluation.answers import SuiteAnswers, columns_of
from fedbench.plugins import Plugin, Plugins
from fedbench.preference.prepare import check_suites
from fedbench.registry import Entry
from fedbench.results.store import write_record

FORM = """
from fedbench import FormSpec, MetricSpec, hookimpl


@hookimpl
def fedbench_register_forms():
    yield FormSpec("box", "{package}.form:Box", "a box around a thing", {{"overlap": "with the right box"}})
"""
METRIC = """
from fedbench import MetricSpec, hookimpl


@hookimpl
def fedbench_register_metrics():
    yield MetricSpec("iou", "{package}.metric:IoU", "overlap of boxes", "{form}", ("iou",))
"""
BOX = """
class Box:
    def problem(self, item):
        return "" if item.answer.isdigit() else f"has the box {item.answer!r}"

    def columns(self, answers):
        said = zip(answers.generated(), answers.items, strict=True)
        return {"overlap": [float(text == item.answer) for text, item in said]}
"""
IOU = """
from fedbench import mean


class IoU:
    def compute(self, *, overlap, group):
        return {"iou": mean(overlap).measure(group, unit="share")}
"""
ITEMS = (
    Item(1, "where is the dog?", "12", group="dog"),
    Item(1, "where is the cat?", "34", group="cat"),
)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed(name={file: text}, …)``: plugins of another folder, in this process."""
    site = tmp_path / "site"

    def install(**plugins):
        for name, files in plugins.items():
            install_plugin(site, name, files)
        monkeypatch.syspath_prepend(str(site))
        invalidate_caches()

    yield install
    for name, module in list(sys.modules.items()):
        if str(site) in str(vars(module).get("__file__")):
            del sys.modules[name]


def boxes(form="box"):
    """A form and, in another plugin, a metric of it."""
    return {
        "boxes": {"hooks.py": FORM.format(package="boxes"), "form.py": BOX},
        "measures": {"hooks.py": METRIC.format(package="measures", form=form), "metric.py": IOU},
    }


def data(*items, form="box"):
    suite = Suite("test", "where", form, items)
    return AlignmentData(
        name="pets",
        image_fingerprint="0" * 64,
        images=["a dog", "a cat"],
        units=np.array([0, 1]),
        pairs=(Pair(0, "what?", "dog"),),
        suites={suite.key: suite},
    )


def answers(*said, items=ITEMS):
    return SuiteAnswers(
        items=items,
        likelihoods=lambda: Likelihoods(
            logp=[[-1.0]] * len(items), tokens=[1] * len(items), hits=[1] * len(items)
        ),
        blind_logp=lambda: [[-2.0]] * len(items),
        generated=lambda: list(said),
    )


EVALUATION = SimpleNamespace(primary="test/where/iou", metrics=("iou",), each_round=("test/where",), final=())
SCENARIO = SimpleNamespace(name="small", evaluation=EVALUATION)


def test_a_form_from_another_folder_is_asked_and_another_plugins_metric_scores_it(installed):
    installed(**boxes())
    catalog = Catalog(Plugins(strict=True))
    metric, form = catalog.metrics["iou"], catalog.forms["box"]
    check_data(data(*ITEMS), "data 'pets'", catalog.forms)
    check_evaluation(SCENARIO, data(*ITEMS), [metric.spec], catalog.forms)
    with pytest.raises(UsageError, match="item 1 of test/where has the box 'there'"):
        check_data(data(ITEMS[0], replace(ITEMS[1], answer="there")), "data 'pets'", catalog.forms)
    columns = columns_of(form, answers("12", "43"))
    assert columns == {"overlap": [1.0, 0.0]}
    assert metric.create().compute(**columns, group=["dog", "cat"])["iou"]["value"] == 0.5


def test_a_metric_whose_form_nobody_has_is_left_out_and_named(installed):
    installed(**boxes())
    said = []
    catalog = Catalog(Plugins(blocked=["boxes"], warn=said.append))
    assert "iou" not in {entry.name for entry in catalog.metrics.entries}
    assert "exact-match" in {entry.name for entry in catalog.metrics.entries}
    (line,) = said
    assert "plugin measures:measures 1.0: left out" in line and "'iou': there is no form 'box'" in line
    with pytest.raises(PluginError, match="there is no form 'box'"):
        _ = Catalog(Plugins(blocked=["boxes"], strict=True)).metrics


def test_two_forms_of_one_name_are_told_apart_by_their_plugin(installed):
    other = {"hooks.py": FORM.format(package="others"), "form.py": BOX}
    installed(**boxes(form="boxes/box"), others=other)
    catalog = Catalog(Plugins(strict=True))
    forms, metrics = catalog.forms, [catalog.metrics["iou"].spec]
    with pytest.raises(
        UsageError, match="several plugins provide form 'box' — name one of: boxes:boxes/box, oth"
    ):
        check_data(data(*ITEMS), "data 'pets'", forms)
    check_data(data(*ITEMS, form="boxes/box"), "data 'pets'", forms)
    check_evaluation(SCENARIO, data(*ITEMS, form="boxes:boxes/box"), metrics, forms)
    with pytest.raises(UsageError, match="none of its metrics is for the form 'others/box'"):
        check_evaluation(SCENARIO, data(*ITEMS, form="others/box"), metrics, forms)


class TooFew:
    def columns(self, answers):
        return {"overlap": [1.0]}


class Another:
    def columns(self, answers):
        return {"distance": [1.0, 2.0]}


class Failing:
    def problem(self, item):
        raise RuntimeError("no idea")

    def columns(self, answers):
        raise RuntimeError("no idea")


WRONG = {
    "TooFew": "gives 1 of 'overlap' for 2 items",
    "Another": "gives the columns distance: its spec names overlap",
    "Failing": "failed: RuntimeError: no idea",
}


def mine(name):
    spec = FormSpec("mine", f"{__name__}:{name}", "made up", {"overlap": "of boxes"})
    return Entry(spec, Plugin("mine", "1.0", "mine", __name__))


@pytest.mark.parametrize(("name", "said"), WRONG.items())
def test_a_form_that_is_wrong_is_blamed_and_not_the_data(name, said):
    with pytest.raises(FedbenchError, match=r"form 'mine' of plugin mine:mine 1\.0 ") as raised:
        columns_of(mine(name), answers("12", "34"))
    assert said in str(raised.value)


def test_a_form_that_fails_on_an_item_is_blamed():
    with pytest.raises(
        FedbenchError, match=r"form 'mine' of plugin mine:mine .* can't check suite 'test/where'"
    ):
        check_data(data(*ITEMS, form="mine"), "data 'pets'", {"mine": mine("Failing")})


def test_any_of_several_references_is_right():
    catalog = Catalog(Plugins())
    several = Item(1, "what is it?", "bike", group="a", references=("bike", "bicycle", "bike"))
    one = Item(1, "what is it?", "dog", group="b")
    columns = columns_of(catalog.forms["generate"], answers("Bicycle", None, items=(several, one)))
    assert columns == {
        "prediction": ["Bicycle", ""],
        "references": [["bike", "bicycle", "bike"], ["dog"]],
        "parsed": [True, False],
    }
    found = catalog.metrics["exact-match"].create().compute(**columns, group=["a", "b"])
    assert found["exact_match"]["value"] == found["unparsed"]["value"] == 0.5


def test_references_are_content_and_their_absence_is_none():
    """The hash is that of the fields from before items had references: data sets keep their pins."""
    plain = data(Item(1, "what?", "bike", group="a"), form="generate")
    assert plain.content("")["suites"] == {
        "test/where": ("test", "where", "generate", ((1, "what?", "bike", "a", ()),))
    }
    several = data(Item(1, "what?", "bike", group="a", references=("bike", "bicycle")), form="generate")
    fewer = data(Item(1, "what?", "bike", group="a", references=("bike",)), form="generate")
    assert len({made.fingerprint for made in (plain, several, fewer)}) == 3


def test_a_policy_is_measured_by_a_form_that_tells_what_it_generated():
    forms = Catalog(Plugins()).forms
    made = data(Item(1, "what?", "cat", group="a", choices=("cat", "dog")), form="choice")
    with pytest.raises(
        UsageError, match="suite 'test/where' is of form 'choice': a policy is measured by what"
    ):
        check_suites(SCENARIO, PreferenceData(**vars(made)), forms)
    check_suites(SCENARIO, PreferenceData(**vars(data(*ITEMS, form="generate"))), forms)


def test_a_record_is_shown_with_where_its_metrics_and_forms_come_from(tmp_path):
    def source(name):
        return {"distribution": name, "version": "2.1", "plugin": name}

    metric = {"form": "box", "provider": source("measures"), "form_provider": source("boxes")}
    path = write_record(tmp_path / "new", example_record(measured_by={"iou": metric}))
    shown = CliRunner().invoke(cli, ["show", "record", str(path)]).output.splitlines()
    (line,) = (line.split() for line in shown if line.startswith("iou "))
    assert line == ["iou", "measures", "(measures", "2.1)", "box", "boxes", "(boxes", "2.1)"]
    assert not any("measured_by" in line for line in shown)
    before = write_record(tmp_path / "old", example_record())
    assert "form from" not in CliRunner().invoke(cli, ["show", "record", str(before)]).output
