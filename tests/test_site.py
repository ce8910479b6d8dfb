"""The site: its pages in a real browser, what hostile texts do to them, how a build replaces another."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib import invalidate_caches
from pathlib import Path
from urllib.parse import unquote, urlsplit

import matplotlib
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import example_record, install_plugin, mostly_slow
from records_of_ours import RECORDS

from fedbench.catalog import Catalog
from fedbench.leaderboard.boards import load_board
from fedbench.leaderboard.contest import open_board
from fedbench.leaderboard.ranking import rank
from fedbench.leaderboard.site import charts, kept, samples
from fedbench.leaderboard.site.build import plan_build
from fedbench.leaderboard.site.pages import Site
from fedbench.leaderboard.site.samples import ClientLoader
from fedbench.plugins import Plugins
from fedbench.results.columns import by_column, by_round
from fedbench.results.records import Record
from fedbench.results.run_summary import run_of
from fedbench.results.store import write_record
from fedbench.scenario_files import load_scenario
from fedbench.verification.badges import BADGES
from fedbench.verification.ladder import Level

WITHOUT_TORCH = """
import sys
from fedbench.cli.main import cli

code = cli.main(sys.argv[1:], standalone_mode=False)
sys.exit(code or ("torch" in sys.modules and "the build imported torch"))
"""


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """What ``leaderboard build`` makes of the repository's records and badges, in a process without torch."""
    folder = tmp_path_factory.mktemp("boards")
    shutil.copytree(RECORDS, folder / "records")
    shutil.copy(RECORDS.parent / BADGES, folder)
    command = [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, "leaderboard", "build"]
    command += ["--records", folder / "records"]
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_a_board_says_who_sees_the_true_reward(boards):
    table = (boards / "preference-nano.md").read_text()
    assert "gold-reward (sees the true reward)" in table and table.count("sees the true reward") > 1
    page = (boards / "site" / "boards" / "preference-nano" / "index.html").read_text()
    (by,) = re.findall(r'<span class="by">anchor · sees the true reward · [^<]*</span>', page)
    assert "baselines" in by
    assert page.count("sees the true reward") == 1


def test_the_committed_tables_are_current(boards):
    """If this fails: ``fedbench leaderboard build``."""
    made = {path.name: path.read_text() for path in boards.glob("*.md")}
    committed = {path.name: path.read_text() for path in RECORDS.parent.glob("*.md")}
    assert made == {name: text for name, text in committed.items() if name != "README.md"}


@pytest.fixture(scope="module")
def site(boards):
    """The site of all boards, beside their records."""
    return boards / "site"


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


class Page(HTMLParser):
    """What a page links to, the ids it has, and what could run in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids, self.dangers = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        self.links += [found[key] for key in ("href", "src") if key in found]
        self.dangers += [name for name in found if name.startswith("on") or name == "style"]
        if tag in ("style", "iframe", "object", "embed", "form", "base"):
            self.dangers.append(tag)
        if tag == "script" and not re.fullmatch(r"(\.\./)*assets/site\.js", found.get("src") or ""):
            self.dangers.append("a script that is not ours")


def problems(site):
    """Links that lead nowhere or where they must not, and what the Content-Security-Policy would stop."""
    found = []
    pages = {path: Page(path) for path in files(site).values() if path.suffix == ".html"}
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        found += [(name, danger) for danger in page.dangers]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                continue
            target = path if not parts.path else Path(os.path.normpath(path.parent / unquote(parts.path)))
            if (
                parts.scheme
                or not target.is_file()
                or (parts.fragment and parts.fragment not in pages[target].ids)
            ):
                found.append((name, link))
    return found


def test_every_link_leads_somewhere(site):
    assert len(files(site)) > 100
    assert not problems(site)


BOARD = "boards/alignment-nano/index.html"
ENTRY = "boards/alignment-nano/entry-"
PAGES = [
    "index.html", BOARD, "boards/preference-papers/index.html", "boards/preference-nano/index.html",
    "boards/alignment-nano/scenario-emoji-ii.html", ENTRY, "scenarios/index.html",
    "scenarios/emoji-ii/index.html", "methods/index.html", "methods/fedcmp/fed-cmp.html",
]  # fmt: skip


def existing(site, name):
    """A page by its path; of the entries, whose names end in a hash, the first."""
    return name if name.endswith(".html") else sorted(n for n in files(site) if n.startswith(name))[0]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", mostly_slow(["light", "dark"], "light"))
def test_axe_finds_nothing_serious(site, visit, name, scheme):
    page = visit(site, existing(site, name), color_scheme=scheme)
    page.evaluate("for (const closed of document.querySelectorAll('details')) closed.open = true")
    found = Axe().run(page, options={"preload": False, "resultTypes": ["violations"]}).response["violations"]
    grave = [(rule["id"], rule["impact"], rule["nodes"][0]["html"][:200]) for rule in found]
    assert not [rule for rule in grave if rule[1] in ("serious", "critical")]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", mostly_slow([360, 768, 1300], 360))
def test_no_page_scrolls_sideways(site, visit, name, width):
    page = visit(site, existing(site, name), viewport={"width": width, "height": 740})
    page.evaluate("for (const closed of document.querySelectorAll('details')) closed.open = true")
    for font in ("var(--sans)", "monospace"):  # any font, a wide one too
        page.evaluate("font => { document.body.style.fontFamily = font }", font)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", [BOARD, "boards/alignment-nano/scenario-emoji-ii.html"])
def test_a_table_of_a_board_fits_on_a_laptop(site, visit, name):
    page = visit(site, name, viewport={"width": 1300, "height": 900})
    page.get_by_text("without a rank").click()
    tables = page.locator(".scroll:has(table.board)")
    assert tables.count() == 2
    assert all(box.evaluate("box => box.scrollWidth <= box.clientWidth") for box in tables.all())


def column(page, heading):
    """The texts of a column of the board's ranked part, from the top."""
    at = page.locator("#overall thead th").all_inner_texts().index(heading)
    return page.locator(f"#overall tbody:first-of-type tr > :nth-child({at + 1})").all_inner_texts()


def numbers(texts):
    return [float(text.split()[0].replace(",", "").replace("−", "-")) for text in texts if text != "–"]


def test_a_table_sorts_by_pointer_and_by_keyboard(site, visit):
    page = visit(site, BOARD)
    header, best = (page.locator("#overall thead th", has_text=text) for text in ("Worst client", "Rank"))
    assert best.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").click()
    assert (header.get_attribute("aria-sort"), best.get_attribute("aria-sort")) == ("descending", None)
    worst = column(page, "Worst client")
    assert numbers(worst) == sorted(numbers(worst), reverse=True)
    assert len(set(worst)) > 3
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    worst = column(page, "Worst client")
    assert numbers(worst) == sorted(numbers(worst))


def test_what_has_no_number_sorts_last_either_way(site, visit):
    page = visit(site, BOARD)
    button = page.locator("#overall thead th", has_text="MB to target").get_by_role("button")
    for _ in range(2):
        button.click()
        there = [text != "–" for text in column(page, "MB to target")]
        assert there == sorted(there, reverse=True)
        assert {True, False} == set(there)


def shown(page):
    """The rows that can be seen, of those with a rank and those without."""
    return page.locator("table.board tbody tr:visible .who").all_inner_texts()


def test_a_table_filters(site, visit):
    page = visit(site, BOARD)
    folded = shown(page)
    page.get_by_text("without a rank").click()
    everybody = shown(page)
    assert len(folded) < len(everybody)
    controls = page.locator(".controls")
    search = controls.get_by_role("searchbox", name="Filter")
    search.fill("FED-CMP opm=")
    matching = shown(page)
    assert 0 < len(matching) < len(everybody)
    assert all("fed-cmp" in text and "opm=" in text for text in matching)
    assert controls.locator("output").inner_text() == f"{len(matching)} of {len(everybody)} entries"
    search.fill("no such method")
    assert not shown(page)
    search.fill("")
    assert shown(page) == everybody
    controls.get_by_role("combobox").select_option("reproduced")
    assert len(shown(page)) < len(everybody)
    controls.get_by_role("combobox").select_option("anything")
    assert shown(page) == everybody


def test_from_a_board_to_a_record(site, visit):
    page = visit(site, "index.html")
    page.get_by_role("link", name="Federated alignment, nano", exact=True).click()
    page.locator("#overall").get_by_role("link", name="fedavg", exact=True).click()
    assert page.locator("h1").inner_text() == "fedavg"
    command = page.locator(".command code").first.inner_text()
    assert re.match(r"fedbench run -m fedavg -s \S+ .*--seeds 0-\d$", command)
    link = page.locator("#list a").first
    wanted = link.inner_text()
    link.click()
    record = json.loads(page.locator("body").inner_text())
    assert record["record_id"].startswith(wanted)
    assert record["method"]["name"] == "fedavg"


def paper(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_theme_is_the_systems_until_one_chooses(site, visit):
    page = visit(site, "index.html", color_scheme="dark")
    dark = paper(page)
    button = page.get_by_role("button", name="Dark")
    assert button.get_attribute("aria-pressed") == "true"
    button.press("Space")
    light = paper(page)
    assert light != dark
    assert button.get_attribute("aria-pressed") == "false"
    page.get_by_role("link", name="Methods").click()
    page.wait_for_url("**/methods/index.html")
    assert paper(page) == light, "it is kept from page to page"
    assert paper(visit(site, "index.html", color_scheme="light")) == light


def test_pointing_at_a_row_lights_its_lines(site, visit):
    page = visit(site, BOARD)
    row = page.locator("#overall tr", has=page.get_by_role("link", name="fedavg-ties", exact=True))
    key = row.get_attribute("data-series")
    lines = page.locator(f'svg.chart [data-series="{key}"]')
    assert lines.count() >= 3
    assert not page.locator("svg.chart .lit").count()
    row.get_by_role("link").focus()
    assert page.locator("svg.chart .lit").count() == lines.count()
    assert "fedavg-ties" in lines.first.locator("title").text_content()


def test_pictures_take_the_pages_colours_and_say_what_they_are(site, visit):
    page = visit(site, "boards/alignment-nano/scenario-emoji-ii.html", color_scheme="light")
    colour = "getComputedStyle(document.querySelector('svg.chart .series path[stroke]')).stroke"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(colour) != light
    names = [picture.get_attribute("aria-labelledby") for picture in page.locator("svg.chart").all()]
    assert len(set(names)) == 3
    texts = [page.locator(f"#{part}").text_content() for part in " ".join(names).split()]
    assert texts[0] == "Learning curves on emoji-ii@2"
    assert all(texts)


def test_without_scripts_everything_is_there(site, visit):
    page = visit(site, BOARD, java_script_enabled=False)
    assert page.locator("#overall tbody tr").count() > 10
    assert not page.locator("#unranked").is_visible()
    page.get_by_text("without a rank").press("Enter")
    assert page.locator("#unranked tbody tr").first.is_visible()
    assert not page.locator(".controls").is_visible()
    assert not page.locator("#theme").is_visible()


def test_a_board_without_records_says_so(fedbench, small, visit, tmp_path):
    (board,) = (tmp_path / "boards").glob("*.toml")
    board.write_text(board.read_text().replace("emoji-tt@1", "emoji-ii@2"))
    built = tmp_path / "there" / "site"
    assert fedbench(*small, "--output", built)[0] == 0
    page = visit(built, "boards/small/index.html")
    assert "There are no records yet" in page.locator("main").inner_text()
    assert not page.locator("#overall").count()


def test_published_figures_are_marked(site, visit):
    page = visit(site, "boards/alignment-papers/index.html")
    sections = page.locator("section.published")
    assert sections.count() >= 4
    for section in sections.all():
        assert "published, not run here" in section.inner_text()
    first = sections.first.locator("tr", has_text="Fed-CMP").inner_text().split()
    assert "46.6" in first


def test_a_scenario_shows_what_its_clients_hold(site, visit):
    page = visit(site, "scenarios/emoji-ii/index.html")
    images = page.locator(".samples img").all()
    assert len(images) == 5
    for image in images:
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 64
        assert "training images of client" in image.get_attribute("alt")
    page.get_by_text("The numbers").click()
    assert page.locator("details table tbody tr").count() == 5


def test_a_method_shows_its_options_and_reductions(site, visit):
    page = visit(site, "methods/fedcmp/fed-cmp.html")
    row = page.locator("section", has_text="Options").locator("tr", has_text="beta_rule").first
    assert "eq8" in row.inner_text()
    assert page.get_by_role("link", name="arXiv 2603.26786").get_attribute("href").endswith("/abs/2603.26786")
    assert "csc=false rwf=false opm=false" in page.locator("section", has_text="Reductions").inner_text()


EVIL = (
    "\"'><script>window.pwned=1</script><img src=x onerror=window.pwned=1>{{ 7*7 }}$x^2$javascript:alert(1)"
)

EVIL_HOOKS = """\
from pathlib import Path
from pydantic import Field
from fedbench import DatasetSpec, MethodSpec, Options, Reduction, ScenarioSpec, hookimpl

EVIL = {evil!r}

class EvilOptions(Options):
    trap: str = Field(EVIL, description=EVIL)

@hookimpl
def fedbench_register_methods():
    reductions = (Reduction(equals=EVIL, options={{EVIL: EVIL}}, equals_options={{EVIL: EVIL}}, why=EVIL),)
    yield MethodSpec("evil", "alignment", "evil:x", EVIL, EvilOptions, "javascript:alert(1)", reductions)
    yield MethodSpec("worse", "alignment", "evil:x", EVIL, "evil:Missing", EVIL)

@hookimpl
def fedbench_register_scenarios():
    yield ScenarioSpec(Path(__file__).parent / "evil.toml")
"""

EVIL_SCENARIO = """\
name = "evil"
version = 1
track = "alignment"
summary = {evil}
backbone = {{ name = {evil} }}
data = {{ name = {evil}, options = {{ {evil} = {evil} }} }}
partition = {{ name = {evil} }}
federation = {{ clients = 2, rounds = 1 }}
training = {{ batch_size = 1, lr = 1.0 }}

[evaluation]
primary = "unseen/category/accuracy"
metrics = [{evil}]
each_round = ["unseen/category"]
final = [{evil}]
"""

EVIL_BOARD = """\
name = "evil"
title = {evil}
summary = {evil}
track = "alignment"
scenarios = ["evil", {evil}]

[ours]
{evil} = {evil}

[[published]]
title = {evil}
source = {evil}
scenario = "evil"
columns = [{evil}]
rows = {{ {evil} = [1.0] }}
"""

KEPT = {"status", "track", "fingerprint", "primary", "better", "command", "digest", "started"}


def poisoned(value, key=""):
    """Every text of a record made evil, but those without which it would not be read or be on the board."""
    if isinstance(value, dict):
        return {name: poisoned(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [poisoned(inner) for inner in value]
    return EVIL if isinstance(value, str) and key not in KEPT else value


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """The site of a board, a scenario, methods and records whose every text is hostile."""
    folder = tmp_path_factory.mktemp("evil")
    quoted = {"evil": json.dumps(EVIL)}
    install_plugin(
        folder,
        "evil",
        {"hooks.py": EVIL_HOOKS.format(evil=EVIL), "evil.toml": EVIL_SCENARIO.format(**quoted)},
    )
    (folder / "evil.toml").write_text(EVIL_BOARD.format(**quoted))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        invalidate_caches()
        catalog = Catalog(Plugins())
        contest = open_board(load_board(folder / "evil.toml"), catalog)
        scenario = load_scenario(catalog.scenario("evil").spec.path)
        runs = []
        anchors = {"start": 0.2, "local": 0.4, "fedavg": 0.6, "centralized": 0.8, EVIL: 0.7}
        for (method, value), seed in ((pair, seed) for pair in anchors.items() for seed in range(3)):
            plain = example_record(method, seed, value + seed / 100).model_dump(mode="json")
            if method == EVIL:
                plain["environment"] |= {"device": EVIL, EVIL: {EVIL: [EVIL]}}
                plain["method"]["options"] = {EVIL: EVIL}
                rounds = by_round(plain["rounds"])
                rounds[-1]["clients"] = {EVIL: plain["final"]["unseen/category/accuracy"]}
                content = {key: plain["data"][key] for key in plain["data"] if key.endswith("fingerprint")}
                plain = poisoned(plain | {"rounds": by_column(rounds)})
                plain["data"] |= content  # records of other data are not ranked at all
                plain |= {"schema_version": 2, "command": ["rm", EVIL]}
            plain["scenario"] |= {"name": "evil", "version": 1, "fingerprint": scenario.fingerprint}
            record = Record.model_validate(plain).sealed()
            runs.append(run_of(record, write_record(folder / "records" / record.record_id, record)))
        standings = rank(contest, runs, {run.id: Level.consistent for run in runs})
        said = []
        plan_build(
            [standings],
            runs,
            catalog,
            folders=[folder / "records"],
            output=folder / "out" / "site",
            warn=said.append,
        ).write()
    return folder / "out" / "site"


def test_hostile_texts_stay_texts(evil, visit):
    assert not problems(evil)
    assert all(path.is_relative_to(evil) for path in files(evil).values())
    pages = [path for path in files(evil).values() if path.suffix == ".html" and "pwned" in path.read_text()]
    assert len(pages) >= 10
    page = visit(evil, "index.html")
    for path in pages:
        page.goto(path.as_uri())
        assert page.evaluate("window.pwned") is None
        assert EVIL in page.title() + page.locator("main").text_content(), path


def test_hostile_rows_are_ranked_like_others(evil, visit):
    page = visit(evil, "boards/evil/index.html")
    row = page.locator("#overall tbody tr", has_text="window.pwned")
    assert row.locator("td").first.inner_text() == "1"
    row.get_by_role("link").click()
    assert page.locator(".command code").first.inner_text().startswith("fedbench run -m ")
    assert not page.get_by_role("link", name="javascript").count()


# --- where a site may lie


@pytest.fixture
def small(tmp_path):
    """``leaderboard build`` of a board of one scenario, over its anchors' records."""
    folder = tmp_path / "boards"
    for method in ("start", "local", "centralized", "fedavg"):
        shutil.copytree(RECORDS / "emoji-tt@1" / method, folder / "records" / "emoji-tt@1" / method)
    (folder / "small.toml").write_text(
        'name = "small"\ntitle = "Small"\nsummary = "s"\ntrack = "alignment"\nscenarios = ["emoji-tt@1"]\n'
    )
    return ["leaderboard", "build", folder / "small.toml", "--records", folder / "records"]


def test_rows_without_a_rank_are_folded_away(fedbench, small, visit, tmp_path):
    one_seed = Path("records", "emoji-tt@1", "fedprox", "seed-0")
    shutil.copytree(RECORDS / one_seed.relative_to("records"), tmp_path / "boards" / one_seed)
    assert fedbench(*small)[0] == 0
    page = visit(tmp_path / "boards" / "site", "boards/small/index.html")
    assert [text.split()[0] for text in shown(page)] == ["local", "centralized", "fedavg", "start"]
    summary = page.locator("summary", has_text="without a rank")
    assert summary.inner_text() == "1 row without a rank"
    summary.press("Enter")
    assert [text.split()[0] for text in shown(page)][4:] == ["fedprox"]
    summary.press("Enter")
    search = page.get_by_role("searchbox", name="Filter")
    search.fill("fedprox")
    assert [text.split()[0] for text in shown(page)] == ["fedprox"], "a match unfolds"
    search.fill("")
    assert [text.split()[0] for text in shown(page)] == ["local", "centralized", "fedavg", "start"]


def test_a_site_elsewhere_takes_its_records_along(fedbench, small, tmp_path):
    records = [name for name in files(tmp_path / "boards") if name.endswith("record.json")]
    assert fedbench(*small, "--output", tmp_path / "there" / "site")[0] == 0
    (tmp_path / "there").rename(tmp_path / "moved")
    shutil.rmtree(tmp_path / "boards")
    moved = tmp_path / "moved" / "site"
    copied = [name for name in files(moved) if name.startswith("records/")]
    assert len(copied) == len(records) > 10
    assert not problems(moved)
    place = "emoji-tt@1/fedavg/seed-0/record.json"
    assert (moved / "records" / place).read_bytes() == (RECORDS / place).read_bytes()


def test_only_a_site_is_replaced(fedbench, small, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    code, out, err = fedbench(*small, "--output", tmp_path / "thesis")
    assert (code, out) == (2, "")
    assert "not a site that fedbench built" in err
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_build_that_breaks_off_leaves_the_old_site(fedbench, small, tmp_path, monkeypatch):
    assert fedbench(*small)[0] == 0
    before = {name: path.read_bytes() for name, path in files(tmp_path / "boards").items()}

    def breaks_off(self):
        yield "index.html", b"half"
        raise KeyboardInterrupt

    monkeypatch.setattr(Site, "pages", breaks_off)
    assert fedbench(*small)[0] == 130
    assert {name: path.read_bytes() for name, path in files(tmp_path / "boards").items()} == before


@pytest.mark.slow
def test_pages_do_not_depend_on_what_the_users_own_pictures_look_like(fedbench, small, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path / "theirs"))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.markersize": 9}):
        assert fedbench(*small)[0] == 0
    theirs = {name: path.read_bytes() for name, path in files(tmp_path / "boards").items()}
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path / "ours"))
    assert fedbench(*small)[0] == 0
    assert {name: path.read_bytes() for name, path in files(tmp_path / "boards").items()} == theirs


def test_a_build_draws_and_loads_only_what_changed(fedbench, small, tmp_path, monkeypatch):
    """And gives the bytes of a build that makes everything."""
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path / "cache"))
    made, drawn, loaded = [], charts.inline, samples.load_data
    monkeypatch.setattr(charts, "inline", lambda **given: made.append(given["name"]) or drawn(**given))
    monkeypatch.setattr(samples, "load_data", lambda resolved: made.append("data") or loaded(resolved))

    def built():
        made.clear()
        assert fedbench(*small)[0] == 0
        pages = {name: path.read_bytes() for name, path in files(tmp_path / "boards").items()}
        return pages, sorted(set(made))

    first, everything = built()
    assert {"data", "clients", "costs-emoji-tt", "curves-emoji-tt"} <= set(everything)
    assert built() == (first, [])
    (tmp_path / "cache" / kept.FILE).write_bytes(b"damaged")
    assert built() == (first, everything)
    assert built() == (first, [])
    monkeypatch.setattr(kept, "whole_core_sha256", lambda: "other code")
    assert built() == (first, everything)


def test_data_that_cannot_be_loaded_is_said(fedbench, small, tmp_path, monkeypatch):
    def broken(self, scenario):
        raise OSError("the disk is gone")

    monkeypatch.setattr(ClientLoader, "__call__", broken)
    code, _, err = fedbench(*small)
    assert code == 0 and "emoji-tt@1: its clients can't be shown: the disk is gone" in err
    page = (tmp_path / "boards" / "site" / "scenarios" / "emoji-tt" / "index.html").read_text()
    assert "the data could not be loaded" in page and "the disk" not in page
