"""Write docs/performance.md and its pictures from the result files: ``python benchmarks/report.py``."""

import json
import tomllib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from result_file import RESULTS
from tabulate import tabulate

from fedbench.results.pictures import COLOURS, save

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
UNITS = {"s": "seconds", "MB": "peak memory, MB", "rounds/s": "rounds a second"}


def part_of(path):
    """What the page says of one result file."""
    content = json.loads(path.read_text())
    title, _, about = content["what"].partition(". ")
    machine = content["machine"]
    return {
        "title": title,
        "about": about,
        "command": content["command"],
        "date": content["date"],
        "machine": f"{machine['processor']}, {machine['cores']} cores, {machine['platform']}",
        "table": table_of(content["rows"]),
        "picture": picture_of(path, content["rows"]),
    }


def table_of(rows):
    """A row for each name in a group, a column for each unit, and whatever else is known of it."""
    lines = {}
    for entry in rows:
        line = lines.setdefault((entry["group"], entry["name"]), {"of": entry["group"], "": entry["name"]})
        spread = "" if entry["n"] == 1 else f" ({entry['low']:.3g} to {entry['high']:.3g})"
        line[UNITS.get(entry["unit"], entry["unit"])] = f"{entry['value']:.3g}{spread}"
        for key in entry.keys() - {"group", "name", "value", "unit", "low", "high", "n", "at", "exponent"}:
            line[key.replace("_", " ")] = entry[key]
    return tabulate(lines.values(), headers="keys", tablefmt="github", disable_numparse=True)


def picture_of(path, rows):
    """Draw the axes of a file that has any, one line each, on logarithmic axes; the picture's place."""
    axes = list(dict.fromkeys(entry["group"] for entry in rows if "at" in entry))
    if not axes:
        return None
    units = list(dict.fromkeys(entry["unit"] for entry in rows))
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for unit, plot in zip(units, figure.subplots(1, len(units), squeeze=False).flat, strict=True):
        for axis, colour in zip(axes, COLOURS, strict=False):
            points = [entry for entry in rows if (entry["group"], entry["unit"]) == (axis, unit)]
            label = f"{axis}: exponent {points[0]['exponent']:.2f}"
            at, values = [entry["at"] for entry in points], [entry["value"] for entry in points]
            plot.loglog(at, values, "o-", color=colour, label=label)
        plot.set_ylabel(f"{UNITS[unit]} of a round" if unit == "s" else UNITS[unit])
        plot.set_xlabel("as many as that")
        plot.spines[["top", "right"]].set_visible(False)
        plot.legend(frameon=False, fontsize="small")
    picture = DOCS / "images" / f"{path.stem}.svg"
    save(figure, picture)
    return picture.relative_to(DOCS)


def bars():
    """The bars of ``bars.toml`` against what was measured."""
    rows = {}
    for path in RESULTS.glob("*.json"):
        for entry in json.loads(path.read_text())["rows"]:
            rows[path.stem, entry["group"], entry["name"], entry["unit"]] = entry
    lines = [line_of(bar, rows) for bar in tomllib.loads((HERE / "bars.toml").read_text())["bar"]]
    return tabulate(lines, headers="keys", tablefmt="github", disable_numparse=True)


def line_of(bar, rows):
    """A line of the table of bars."""
    said = {"bar": bar["bar"], "ratio": "", "": "not measured", "why": bar.get("why", "")}
    if (
        "of" not in bar
        or not (pair := [rows.get(tuple(bar[which])) for which in ("of", "to")])
        or None in pair
    ):
        return said
    ratio = pair[0]["value"] / pair[1]["value"]
    met = ratio >= bar["at_least"] if "at_least" in bar else ratio <= bar["at_most"]
    return said | {"ratio": f"{ratio:.2f}", "": "met" if met else "**not met**"}


def main():
    environment = Environment(loader=FileSystemLoader(HERE), undefined=StrictUndefined, autoescape=False)
    parts = [part_of(path) for path in sorted(RESULTS.glob("*.json"))]
    page = environment.get_template("performance.md.jinja").render(bars=bars(), parts=parts)
    (DOCS / "performance.md").write_text(page.strip() + "\n")


if __name__ == "__main__":
    main()
