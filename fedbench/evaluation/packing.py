"""Packing: one sequence per item that holds the prompt once and every choice beside it.

Choices see the prompt and themselves but not each other (a block mask), and each starts at the
position right after the prompt; so one forward pass scores all of an item's choices exactly as
separate passes would, without repeating the image and the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fedbench.data.items import Item
from fedbench.models.language import LanguageModel

POSITIONS_PER_BATCH = 6144
"""Most tokens in a batch, padding included."""


@dataclass(frozen=True)
class PackedBatch:
    """Items that are scored in one forward pass: B sequences of L tokens with M scored tokens among them."""

    items: list[int]
    """Which items these are, [B]."""

    ids: Tensor
    """Token ids, [B, L]."""

    offsets: Tensor
    """Each token's position after the visual tokens, [B, L]."""

    segments: Tensor
    """[B, L]: 0 for a token of the prompt, from 1 the number of the choice it is of, −1 for padding."""

    row: Tensor
    """Row of the batch that each scored token is in, [M]."""

    source: Tensor
    """Position in the row whose hidden state predicts the scored token, [M]; prompts aren't empty."""

    target: Tensor
    """Id of each scored token, [M]."""

    choice: Tensor
    """Choice that each scored token belongs to, from 0, [M]."""

    def mask(self, visual_tokens: int) -> Tensor:
        """The attention mask [B, 1, T + L, T + L]: True where a row's position attends to a column's."""
        segments = torch.nn.functional.pad(self.segments, (visual_tokens, 0), value=0)
        length = segments.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
        prompt, own = segments[:, None, :] == 0, segments[:, None, :] == segments[:, :, None]
        return (causal & (prompt | own))[:, None]


def scored_texts(item: Item) -> tuple[str, ...]:
    """The texts of an item that are scored: its choices, or else its answer."""
    return item.choices or (item.answer,)


def pack(items: Sequence[Item], llm: LanguageModel) -> list[PackedBatch]:
    """Pack items into batches of similar length. An item without choices is scored on its answer."""
    choices = [scored_texts(item) for item in items]
    texts = sorted(set(chain.from_iterable(choices)))
    answers = dict(zip(texts, llm.answer_ids(texts), strict=True))
    prompts = llm.prompt_ids([item.prompt for item in items])
    lengths = [
        len(prompt) + sum(len(answers[choice]) - 1 for choice in offered)
        for prompt, offered in zip(prompts, choices, strict=True)
    ]
    batches, batch = [], list[int]()
    for item in sorted(range(len(items)), key=lambda i: (lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[item] > POSITIONS_PER_BATCH:
            batches.append(batch)
            batch = []
        batch.append(item)
    batches += [batch] if batch else []
    return [
        _pack_batch(
            batch, [prompts[i] for i in batch], [[answers[c] for c in choices[i]] for i in batch], llm.device
        )
        for batch in batches
    ]


def _pack_batch(
    items: list[int], prompts: list[list[int]], offered: list[list[list[int]]], device: torch.device
) -> PackedBatch:
    ids: list[Tensor] = []
    offsets: list[Tensor] = []
    segments: list[Tensor] = []
    scored: list[tuple[int, int, int, int]] = []
    for row, (prompt, answers) in enumerate(zip(prompts, offered, strict=True)):
        tokens, positions, numbers = list(prompt), list(range(len(prompt))), [0] * len(prompt)
        for choice, answer in enumerate(answers):
            start = len(tokens)
            sources = [len(prompt) - 1, *range(start, start + len(answer) - 1)]
            scored += [(row, source, target, choice) for source, target in zip(sources, answer, strict=True)]
            tokens += answer[:-1]
            positions += range(len(prompt), len(prompt) + len(answer) - 1)
            numbers += [choice + 1] * (len(answer) - 1)
        ids.append(torch.tensor(tokens))
        offsets.append(torch.tensor(positions))
        segments.append(torch.tensor(numbers))
    row_, source, target, choice_ = torch.tensor(scored).unbind(1)

    def padded(rows: list[Tensor], value: int) -> Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=value).to(device)

    return PackedBatch(
        items=items,
        ids=padded(ids, 0),
        offsets=padded(offsets, 0),
        segments=padded(segments, -1),
        row=row_.to(device),
        source=source.to(device),
        target=target.to(device),
        choice=choice_.to(device),
    )
