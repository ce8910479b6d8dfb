"""``fedbench show scenario``: what each client holds, how the clients differ, and the picture of it."""

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fedbench_emoji.dataset import read_drawings
from PIL import Image
from scipy.stats import entropy

from fedbench.catalog import Catalog
from fedbench.data import AlignmentData, Pair, Partition
from fedbench.data.heterogeneity import MOST_CLASSES, default_label, heterogeneity
from fedbench.data.loading import load_data, load_partition
from fedbench.plugins import Plugins
from fedbench.results.pictures import client_bars, save
from fedbench.scenario_files import load_scenario


@pytest.fixture
def show(fedbench):
    """``code, out, err = show(NAME, …)`` for a scenario."""
    return lambda *arguments, what="scenario": fedbench("show", what, *arguments)


@pytest.fixture
def shown(show):
    """What the scenario's JSON says of its clients."""

    def run(*arguments):
        code, out, err = show(*arguments, "--format", "json")
        assert (code, err) == (0, "")
        return json.loads(out)["heterogeneity"]

    return run


def toy(dealt, values):
    """Data of one pair a unit with label ``class``, and a partition of it."""
    pairs = tuple(Pair(unit, "what?", "x") for unit in range(len(values)))
    labels = {"class": values} if any(values) else {}
    data = AlignmentData("toy", "i", [None] * len(values), np.arange(len(values)), pairs, {}, labels)
    units = tuple(np.array(client) for client in dealt)
    return data, Partition(units, tuple(np.empty(0, dtype=np.int64) for _ in dealt))


def divergence(client, pooled):
    """Jensen–Shannon divergence in bits, from its definition."""
    p, q = client / client.sum(), pooled / pooled.sum()
    return entropy((p + q) / 2, base=2) - (entropy(p, base=2) + entropy(q, base=2)) / 2


def test_the_numbers_of_the_tiny_scenario_are_the_manifests(tiny, shown):
    manifest = json.loads((tiny / "tiny.json").read_text())
    category = [drawing.concept.category for drawing in read_drawings()[0]]
    found = shown("tiny")
    assert found["label"] == "category", "its primary measure asks about it"
    for client, train, held_out in zip(
        found["clients"], manifest["train"], manifest["evaluation"], strict=True
    ):
        assert (client["units"], client["held_out"]) == (len(train), len(held_out))
        assert client["pairs"] == 2 * len(train), "one view with two texts each"
        assert +Counter(client["histogram"]) == Counter(category[row] for row in train)
    counts = np.array([list(client["histogram"].values()) for client in found["clients"]])
    sizes = counts.sum(1)
    skews = [divergence(client, counts.sum(0)) for client in counts]
    assert found["label_skew"] == pytest.approx(np.average(skews, weights=sizes))
    assert found["size_skew"] == pytest.approx(sizes.std() / sizes.mean())


def test_the_numbers_of_a_shipped_scenario_are_its_partitions(shown):
    catalog = Catalog(Plugins())
    scenario = load_scenario(catalog.scenarios["emoji-dirichlet"].spec.path)
    resolved = catalog.resolve(scenario)
    data = load_data(resolved)
    partition = load_partition(resolved, data)
    found = shown("emoji-dirichlet")
    for client, units, shard in zip(found["clients"], partition.train, partition.shards(data), strict=True):
        assert +Counter(client["histogram"]) == Counter(data.labels["category"][unit] for unit in units)
        assert (client["units"], client["pairs"]) == (len(units), len(shard))
    assert found["label_skew"] > 20 * found["chance_skew"]


def test_the_table_says_what_the_json_says(show, shown):
    _, table, _ = show("emoji-ii")
    rows = [line.split() for line in table.splitlines()]
    found = shown("emoji-ii")
    columns = []
    for client in found["clients"]:
        numbers = [client[key] for key in ("units", "pairs", "held_out")] + list(client["histogram"].values())
        columns.append(numbers)
        assert [str(client["client"]), *map(str, numbers)] in rows
    assert ["all", *(str(sum(column)) for column in zip(*columns, strict=True))] in rows
    for name in ("label_skew", "size_skew", "chance_skew"):
        assert f"{found[name]:.3f}" in table
    assert max(map(len, table.splitlines())) <= 120


def test_many_clients_are_summed_up(show, shown):
    _, table, _ = show("emoji-many")
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines() if line}
    assert "0" not in rows and "100 clients; --format json lists each of them" in table
    units = [client["units"] for client in shown("emoji-many")["clients"]]
    assert len(units) == 100
    summary = (min(units), np.median(units), max(units), sum(units))
    assert [float(rows[name][0]) for name in ("min", "median", "max", "all")] == list(summary)


def test_a_label_of_ones_own_choice(show, shown):
    by_artist = shown("emoji-styles", "--label", "artist")
    assert [sorted(client["histogram"].values()) for client in by_artist["clients"]] == [[0, 1179]] * 2
    assert by_artist["label_skew"] > 0.3 and shown("emoji-styles")["label_skew"] == pytest.approx(0)
    code, table, _ = show("emoji-ii", "--label", "kind")
    assert code == 0 and "others" in table and max(map(len, table.splitlines())) <= 120


def test_a_scenario_file_of_ones_own(tiny, show):
    assert show(tiny / "tiny.toml")[:2] == show("tiny")[:2]


@pytest.mark.parametrize("part", ["data", "partition"])
def test_other_content_than_the_scenario_pins_is_refused(tiny, show, part):
    text = (tiny / "tiny.toml").read_text()
    pinned = text.replace(f"[{part}]", f'[{part}]\nsha256 = "{"0" * 64}"')
    Path("tiny.toml").write_text(pinned)
    Path("tiny.json").write_bytes((tiny / "tiny.json").read_bytes())
    code, out, err = show("tiny.toml")
    assert (code, out) == (2, "") and "is not the one the scenario was made with" in err


def test_alike_and_disjoint_clients():
    alike = heterogeneity(*toy([[0, 1], [2, 3, 4, 5]], list("abaabb")), "class")
    assert alike.label_skew == pytest.approx(0, abs=1e-12) and alike.size_skew == pytest.approx(1 / 3)
    apart = heterogeneity(*toy([range(50), range(50, 100)], ["a"] * 50 + ["b"] * 50), "class")
    assert apart.size_skew == 0
    assert apart.label_skew == pytest.approx(divergence(np.array([1, 0]), np.array([1, 1])))


def test_chance_is_what_random_deals_have():
    rng = np.random.default_rng(0)
    values = rng.choice(list("abcdef"), 600).tolist()
    deals = [np.split(rng.permutation(600), np.arange(12, 600, 12)) for _ in range(20)]
    found = [heterogeneity(*toy(dealt, values), "class") for dealt in deals]
    assert found[0].chance_skew == pytest.approx(np.mean([one.label_skew for one in found]), rel=0.1)
    assert found[0].chance_skew == found[0].chance_skew, "the same numbers every time"


def test_the_commonest_classes_come_first_and_the_rest_is_one():
    values = [f"class {c:02}" for c in range(12) for _ in range(12 - c)]
    found = heterogeneity(*toy([range(40), range(40, len(values))], values), "class")
    names, histogram = found.commonest()
    assert names == [f"class {c:02}" for c in range(MOST_CLASSES - 1)] + ["5 others"]
    assert histogram.sum(1).tolist() == found.units.tolist() and histogram[:, -1].sum() == 1 + 2 + 3 + 4 + 5


def test_data_without_labels_has_sizes_only(tmp_path):
    data, partition = toy([[0, 1], [2]], [""] * 3)
    scenario = load_scenario(Catalog(Plugins()).scenarios["emoji-ii"].spec.path)
    found = heterogeneity(data, partition, default_label(scenario, data))
    assert (found.label, found.label_skew, found.chance_skew) == (None, None, None)
    assert found.units.tolist() == [2, 1] and found.histogram.shape == (2, 0)
    save(client_bars(found, "sizes"), tmp_path / "sizes.png")


def test_the_default_label_is_asked_about_or_dealt_by_or_the_first():
    path = Catalog(Plugins()).scenarios["emoji-many"].spec.path
    data, _ = toy([[0]], ["a"])

    def chosen(*names):
        labels = {name: ["a"] for name in names}
        return default_label(load_scenario(path), AlignmentData(**vars(data) | {"labels": labels}))

    assert chosen("x", "kind", "category") == "category"
    assert chosen("x", "kind") == "kind"
    assert chosen("x", "y") == "x"
    assert chosen() is None


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_a_picture_is_valid_and_the_same_twice(tiny, show, ending):
    paths = [Path(f"{name}.{ending}") for name in ("a", "b")]
    for path in paths:
        code, out, err = show("tiny", "--picture", path, "--format", "json")
        assert (code, err) == (0, f"fedbench: wrote {path}\n") and json.loads(out)
    content = paths[0].read_bytes()
    assert content == paths[1].read_bytes()
    if ending == "svg":
        assert ElementTree.fromstring(content).tag.endswith("svg")
    elif ending == "png":
        with Image.open(paths[0]) as image:
            image.load()
            assert image.format == "PNG" and len(image.getcolors(1 << 24)) > 3
    else:
        assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize("clients", [2, 5, 10, 100])
def test_the_bars_are_as_high_as_the_clients_are_large(clients):
    dealt = np.array_split(np.arange(1000), clients)
    found = heterogeneity(*toy(dealt, [f"c{unit % 3}" for unit in range(1000)]), "class")
    (axes,) = client_bars(found, "a title").axes
    tops = np.zeros(clients)
    for bars in axes.containers:
        tops = np.maximum(tops, [bar.get_y() + bar.get_height() for bar in bars])
    assert tops.tolist() == found.units.tolist() and len(axes.containers) == 3


REFUSED = {
    "unknown label": (
        ["emoji-ii", "--label", "categry"],
        "data 'emoji' has no label 'categry' — did you mean 'category'?",
    ),
    "unknown ending": (
        ["emoji-ii", "--picture", "x.bmp"],
        "can't tell the format of picture x.bmp — name it .svg, .png or .pdf",
    ),
    "no ending": (["emoji-ii", "--picture", "x"], "can't tell the format of picture x"),
    "below a file": (
        ["emoji-ii", "--picture", f"{__file__}/x.svg"],
        f"can't write the picture in {__file__}",
    ),
    "no such file": (["my.toml"], "can't read the scenario in my.toml: No such file or directory"),
}


@pytest.mark.parametrize(("arguments", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_request_is_one_line_and_leaves_nothing(show, arguments, said):
    code, out, err = show(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and said in err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("option", ["--label", "--picture"])
def test_what_is_for_scenarios_is_refused_elsewhere(show, option):
    assert show("fedavg", option, "x.svg", what="method") == (
        2,
        "",
        f"fedbench: {option} is for scenarios only\n",
    )
