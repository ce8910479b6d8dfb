"""Compare two result files of one benchmark: what has become slower or larger.

::

    python benchmarks/guard.py before.json after.json

A row counts as changed if its medians differ by more than a tenth and the two ranges do not overlap: less is
within what a machine does by itself. Exit code 1 if anything became worse.
"""

import argparse
import json
import sys
from pathlib import Path

from tabulate import tabulate

WORTH_SAYING = 1.1
MORE_IS_BETTER = {"rounds/s"}


def by_name(path):
    """The rows of a result file."""
    return {(row["group"], row["name"], row["unit"]): row for row in json.loads(path.read_text())["rows"]}


def verdict(before, after):
    """``better``, ``worse`` or nothing."""
    ratio = after["value"] / before["value"]
    apart = after["low"] > before["high"] or after["high"] < before["low"]
    if not apart or 1 / WORTH_SAYING <= ratio <= WORTH_SAYING:
        return ""
    return "better" if (ratio > 1) == (after["unit"] in MORE_IS_BETTER) else "worse"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    asked = parser.parse_args()
    old, new = by_name(asked.before), by_name(asked.after)
    table = [
        [
            *key,
            old[key]["value"],
            new[key]["value"],
            new[key]["value"] / old[key]["value"],
            verdict(old[key], new[key]),
        ]
        for key in old
        if key in new
    ]
    headers = ["of", "what", "unit", "before", "after", "ratio", ""]
    print(tabulate(table, headers, floatfmt=("", "", "", ".4g", ".4g", ".2f")))
    for key in old.keys() ^ new.keys():
        print(f"only in {asked.before if key in old else asked.after}: {', '.join(key)}")
    sys.exit(any(row[-1] == "worse" for row in table))


if __name__ == "__main__":
    main()
