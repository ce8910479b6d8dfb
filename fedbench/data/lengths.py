"""How long texts are in an LLM's tokens, and which are longer than it was made for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fedbench.data.items import FederatedData, Item, Pair
from fedbench.data.problems import Problem, entries_of
from fedbench.errors import UsageError
from fedbench.models.language import LanguageModel

Texts = tuple[str, str]
"""A prompt and an answer."""


def check_lengths(data: FederatedData, llm: LanguageModel, title: str) -> None:
    """Refuse data with a text that is longer than ``llm`` was made for; ``title`` says whose the data is."""
    problems = list(length_problems(data, llm))
    if problems:
        more = f"; so are {len(problems) - 1} others" if problems[1:] else ""
        raise UsageError(
            f"{title} can't be used",
            why=f"{problems[0]}{more}",
            fix="shorten the text or take it out; `fedbench data check` on the scenario lists all of them",
        )


def length_problems(data: FederatedData, llm: LanguageModel) -> Iterator[Problem]:
    """Find the texts of ``data`` that have more tokens than ``llm`` has positions, an image's not counted.

    A prompt counts with each answer that may follow it, and with what the chat template puts around them.
    """
    limit = llm.positions
    if limit is None:
        return
    spared = max(limit - _around(llm), 0)
    for what, entries in entries_of(data).items():
        for number, entry in enumerate(entries):
            # A token is a byte at least, so most texts need no counting.
            long = [texts for texts in _texts(entry) if sum(len(text.encode()) for text in texts) > spared]
            tokens = max((token_count(llm, *texts) for texts in long), default=0)
            if tokens > limit:
                line = f"{what} {number} has {tokens:,} tokens, {llm.backbone.name!r} is made for {limit:,}"
                yield Problem(kind="too long a text", what=what, numbers=(number,), line=line)


def token_count(llm: LanguageModel, prompt: str, answer: str) -> int:
    """Count the tokens of a prompt and an answer with what is put around them."""
    return len(llm.prompt_ids([prompt])[0]) + len(llm.answer_ids([answer])[0])


def _around(llm: LanguageModel) -> int:
    """Bytes of the chat template and the end, and of what tokenizers set before a text."""
    template = llm.backbone.chat_template
    return len((template.after + template.turn + template.lead).encode()) + 8


def _texts(entry: Any) -> Iterable[Texts]:
    """The prompt with each text that a model may read after it."""
    if isinstance(entry, Pair):
        return ((entry.prompt, entry.answer),)
    if isinstance(entry, Item):
        return ((entry.prompt, answer) for answer in (entry.answer, *entry.choices))
    return ((entry.prompt, entry.chosen), (entry.prompt, entry.rejected))
