"""Options of the data set ``image-text``: which column of a table means what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fedbench import Location, Options, suggest
from fedbench_huggingface import benchmark
from fedbench_huggingface.benchmark import names
from fedbench_huggingface.columns import Columns

SuiteName = Literal["caption", "choice", "yesno", "generate", "vqa"]


class Shares(Options):
    """Shares of the images that clients don't learn from, where the data doesn't say which these are."""

    validation: float = Field(0.1, ge=0, lt=1, description="share that options are tuned on; 0 for none")
    test: float = Field(0.1, gt=0, lt=1, description="share that methods are compared by")

    @model_validator(mode="after")
    def _something_is_left(self) -> Shares:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to learn from")
        return self


class ImageTextOptions(Columns):
    """Options of the data set ``image-text``."""

    name = "image-text"
    prompt: str | None = Field(None, description="column of the questions")
    prompt_text: str = Field("", description="the question about every image, where no column has it")
    answer: str | list[str] = Field(
        "answer",
        description="column of the right answers or captions, of a text or a list of texts each; or a list"
        " of columns",
    )
    answer_as: Literal["text", "letter", "index"] = Field(
        "text", description="whether answers are texts, letters (A, B, …) of choices or their numbers from 0"
    )
    choices: str | list[str] | None = Field(
        None, description="column of the list of answers to choose from, or a list of columns"
    )
    shares: Shares = Field(default_factory=Shares, description="shares of splits that the data doesn't have")
    suites: list[SuiteName] | None = Field(
        None,
        description="what is asked; when absent choice and, of questions generate, of captions caption",
    )
    drawn_choices: int = Field(
        4, ge=2, description="answers to choose from where no column has them: others to the same question"
    )
    choices_within: str | None = Field(
        None,
        description="a column of labels, or of the client: drawn choices are of rows with the same value",
    )
    train_on: Literal["every", "commonest"] = Field(
        "every", description="whether clients learn each different answer of a row, or the commonest"
    )
    benchmarks: list[str] = Field(
        default_factory=list,
        description=f"public benchmarks that are asked beside: {', '.join(names())}",
    )
    benchmark_folder: Location | None = Field(
        None, description="a folder with a folder for each of benchmarks; when absent they are the Hub's"
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> ImageTextOptions:
        if self.prompt is not None and self.prompt_text:
            raise ValueError("prompt names a column of questions and prompt_text is one for all: give one")
        if self.answer_as != "text" and self.choices is None:
            raise ValueError(f"answer_as={self.answer_as!r} needs choices")
        if (self.suites is not None and len(set(self.suites)) != len(self.suites)) or self.suites == []:
            raise ValueError("suites are named once each, and there is at least one")
        for name in self.benchmarks:
            if name not in names():
                raise ValueError(f"there is no benchmark {name!r}, {suggest(name, names())}")
        if len(set(self.benchmarks)) != len(self.benchmarks):
            raise ValueError("benchmarks are named once each")
        if self.choices_within not in (None, self.client, *self.labels):
            raise ValueError(f"choices_within is {self.choices_within!r}, none of labels and no client")
        return self

    @property
    def asked(self) -> list[SuiteName]:
        """The suites' names, the most telling first."""
        return self.suites or ["choice", "caption" if self.prompt is None else "generate"]

    @property
    def answers(self) -> list[str]:
        """The columns of the right answers."""
        return [self.answer] if isinstance(self.answer, str) else self.answer


def suites(options: ImageTextOptions) -> dict[str, str]:
    """List the suites that the data will have with these options, each with its form, its own first."""
    public = {key: form for name in options.benchmarks for key, form in benchmark.suites(name).items()}
    return own_suites(options) | public


def own_suites(options: ImageTextOptions) -> dict[str, str]:
    """List the suites about the data's own images."""
    splits = ["test", *(["validation"] if options.shares.validation else [])]
    return {f"{split}/{name}": name for split in splits for name in options.asked}
