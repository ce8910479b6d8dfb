"""Public benchmarks by name: where each is published, and what its columns mean."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from fedbench import Options, validated

FOLDER = Path(__file__).parent / "benchmarks"
ALL = "all"
"""The suite of all of a benchmark's questions."""


class Benchmark(Options):
    """How a published table is asked: the content of one of the files in ``benchmarks``."""

    title: str = Field(description="its name in the literature")
    summary: str = Field(description="what it asks, and in which form")
    paper: str = Field(description="arXiv number")
    repo: str = Field(description="the repository on the Hub that has it")
    files: str = Field(description="pattern of the repository's files with the split that is asked")
    form: Literal["yesno", "choice", "generate", "vqa"] = Field(description="form of its suites")
    metric: str = Field("", description="the metric that it is reported by, where that is not the form's")
    image: str = Field("image", description="column of the images; of a list of images the only one is asked")
    prompt: list[str] = Field(
        min_length=1, description="columns of the question, a line each; what a row lacks is left out"
    )
    instruction: str = Field("", description="a last line of every question")
    absent: list[str] = Field(default_factory=list, description="texts that stand for a cell without a value")
    answer: str = Field(description="column of the right answer or of a list of them")
    answer_as: Literal["text", "letter", "index"] = Field("text", description="as in image-text")
    choices: str | list[str] | None = Field(
        None, description='column of the choices, a list or a text such as "(a) Open (b) Closed", or columns'
    )
    only: dict[str, str] = Field(default_factory=dict, description="columns and the value of rows to ask")
    group: str | None = Field(
        None, description="column of what makes questions dependent; when absent their image"
    )
    together: int = Field(1, ge=1, description="rows that follow each other and make one group")
    part: str | None = Field(None, description="column by whose values there are suites")
    parts: dict[str, str] = Field(default_factory=dict, description="names of these suites and the values")

    @property
    def answers(self) -> list[str]:
        """The columns of the right answers."""
        return [self.answer]


@cache
def names() -> tuple[str, ...]:
    """List the benchmarks that there are."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@cache
def benchmark(name: str) -> Benchmark:
    """Read the benchmark ``name``, one of :func:`names`."""
    content = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return validated(Benchmark, content, f"benchmark {name!r}")


def suites(name: str) -> dict[str, str]:
    """List the suites of benchmark ``name`` with their form, that of all its questions first."""
    found = benchmark(name)
    return {f"{name}/{part}": found.form for part in (ALL, *found.parts)}
