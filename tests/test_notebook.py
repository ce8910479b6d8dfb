"""A record and a comparison as notebooks show them: complete, without scripts, in a real browser."""

import pytest
from conftest import example_record
from records_of_ours import RECORDS

import fedbench
from fedbench.results.store import read_record

SCRIPT = "<script>console.log('run')</script><img src=x onerror=console.log('run')>"


@pytest.fixture(scope="module")
def records():
    folders = (RECORDS / "emoji-tt@1" / method for method in ("fedavg", "fed-cmp", "start", "centralized"))
    return [record for folder in folders for record in fedbench.load_all(folder)]


def test_a_comparison_shows_every_row_in_both_of_its_tables(records, tmp_path, visit):
    comparison = fedbench.compare(records, against="fedavg")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text(f"<meta charset=utf-8>{comparison._repr_html_()}")
    page = visit(tmp_path / "page", "index.html", viewport={"width": 1000, "height": 900})
    page.locator("summary").click()
    methods = list(comparison.to_frame()["method"])
    assert sorted(methods) == ["centralized", "fed-cmp", "fedavg", "start"]
    for table in page.locator("table").all():
        assert table.locator("tbody th").all_inner_texts() == methods
    first = page.locator("table").first
    assert "verdict" in first.inner_text() and "worse" in first.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000


def test_a_record_of_a_stranger_runs_nothing_in_a_notebook(tmp_path, visit):
    record = example_record()
    hostile = record.model_copy(
        update={
            "error": SCRIPT,
            "method": record.method.model_copy(update={"name": SCRIPT, "options": {SCRIPT: SCRIPT}}),
            "environment": {"device": SCRIPT},
            "final": {f"unseen/{SCRIPT}": measure for measure in record.final.values()},
        }
    )
    (tmp_path / "page").mkdir()
    views = hostile._repr_html_() + fedbench.compare([hostile])._repr_html_()
    (tmp_path / "page" / "index.html").write_text(f"<meta charset=utf-8>{views}")
    page = visit(tmp_path / "page", "index.html", viewport={"width": 1000, "height": 900})
    messages = []
    page.on("console", lambda message: messages.append(message.text))
    page.wait_for_timeout(200)
    assert page.locator("script, [onerror]").count() == 0 and not messages
    assert SCRIPT in page.inner_text("body")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000


def test_a_record_shows_its_result_and_its_curve(tmp_path, visit):
    record = read_record(RECORDS / "emoji-tt@1" / "fed-cmp" / "seed-0" / "record.json")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text(f"<meta charset=utf-8>{record._repr_html_()}")
    page = visit(tmp_path / "page", "index.html", viewport={"width": 1000, "height": 900})
    assert f"{record.final[record.primary].value:.4f}" in page.inner_text("body")
    assert page.evaluate("document.querySelector('img').naturalWidth") > 300
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000
