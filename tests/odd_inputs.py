"""The tables of ``docs/odd-inputs.md``: ``python tests/odd_inputs.py`` writes what happens into the page."""

from pathlib import Path

import numpy as np
from odd_images import ODD, Refused
from odd_texts import KEPT, REFUSED

from fedbench import AlignmentData, BrokenImage, Pair, open_image
from fedbench.catalog import Catalog
from fedbench.data.lengths import length_problems, token_count
from fedbench.data.problems import data_problems
from fedbench.models.language import LanguageModel
from fedbench.plugins import Plugins

PAGE = Path(__file__).parents[1] / "docs" / "odd-inputs.md"
PROMPT = "what is it?"


def happens(case):
    """What becomes of an image."""
    if not isinstance(case, Refused):
        width, height = open_image(case.stored).size
        return f"{case.how}, {width:,} × {height:,}"
    try:
        open_image(case.stored)
    except BrokenImage as error:
        return f"named: `{error}`"
    raise AssertionError("it is shown")


def table(head, rows):
    lines = [f"| {head} | what happens |", "|---|---|"]
    cells = ((name.replace("|", "\\|"), result.replace("|", "\\|")) for name, result in rows)
    return "\n".join([*lines, *(f"| {name} | {result} |" for name, result in cells)])


def images():
    return table("image", [(name, happens(case)) for name, case in ODD.items()])


def texts():
    catalog = Catalog(Plugins())
    nano = catalog.backbones["nano"]
    llm = LanguageModel(nano.create(nano.options()))

    def kept(text):
        tokens = token_count(llm, PROMPT, text) - token_count(llm, PROMPT, "")
        return f"learnt as it is: {tokens} tokens of `nano`"

    def named(answer):
        pairs = (Pair(0, PROMPT, answer),)
        data = AlignmentData("x", "0" * 64, ["an image"], np.arange(1), pairs, {})
        (problem,) = [*data_problems(data, catalog.forms)] or [*length_problems(data, llm)]
        return f"named: `{problem}`"

    rows = [(name, kept(text)) for name, text in KEPT.items()]
    return table("text, as an answer", rows + [(name, named(text)) for name, (text, _) in REFUSED.items()])


def page():
    """The page with its tables made anew."""
    whole = PAGE.read_text(encoding="utf-8")
    for name, made in (("images", images()), ("texts", texts())):
        before, mark, after = whole.partition(f"<!-- {name} -->\n\n")
        rest = after.partition("\n\n")[2]
        whole = f"{before}{mark}{made}\n\n{rest}"
    return whole


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
