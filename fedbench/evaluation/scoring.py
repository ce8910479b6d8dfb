"""What the frozen LLM says of evaluation items: log-likelihoods of choices, greedy generations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedbench.data.items import Item
from fedbench.evaluation.packing import PackedBatch
from fedbench.models.language import LanguageModel


@dataclass(frozen=True)
class Likelihoods:
    """Per item i and choice j: ``logp[i][j]`` in nats; ``tokens[i]`` and how many of them (``hits``)
    the LLM ranks first, summed over the item's choices."""

    logp: list[list[float]]
    tokens: list[int]
    hits: list[int]


@torch.inference_mode()
def likelihoods(llm: LanguageModel, batches: Sequence[PackedBatch], visual: Tensor | None) -> Likelihoods:
    """Score packed items; ``visual`` [items, T, D] projected tokens, or None for the blind prior."""
    count = sum(len(batch.items) for batch in batches)
    logp: list[list[float]] = [[] for _ in range(count)]
    tokens, hits = [0] * count, [0] * count
    for batch in batches:
        text = llm.embed(batch.ids)
        width = 0 if visual is None else visual.shape[1]
        if visual is not None:
            text = torch.cat([visual[batch.items].to(text.dtype), text], dim=1)
        places = torch.arange(width, device=text.device).expand(len(batch.items), -1)
        positions = torch.cat([places, batch.offsets + width], dim=1)
        hidden = llm.hidden(text, positions, batch.mask(width))
        where = batch.row * hidden.shape[1] + batch.source + width
        unique, inverse = where.unique(return_inverse=True)
        table = llm.logits(hidden.flatten(0, 1)[unique]).float().log_softmax(-1)
        best = table.argmax(-1)[inverse] == batch.target
        score = table[inverse, batch.target].double()
        choices = int(batch.choice.max()) + 1
        slot = batch.row * choices + batch.choice
        total = torch.zeros(len(batch.items) * choices, dtype=torch.float64, device=score.device)
        total = total.index_add(0, slot, score).view(-1, choices).cpu()
        present = torch.zeros(len(batch.items) * choices, dtype=torch.bool, device=score.device)
        present[slot] = True
        kept = present.view(-1, choices).sum(1).tolist()
        seen = torch.bincount(batch.row, minlength=len(batch.items)).tolist()
        right = torch.bincount(batch.row[best], minlength=len(batch.items)).tolist()
        for row, item in enumerate(batch.items):
            logp[item] = total[row, : kept[row]].tolist()
            tokens[item], hits[item] = seen[row], right[row]
    return Likelihoods(logp, tokens, hits)


@torch.inference_mode()
def generate(llm: LanguageModel, items: Sequence[Item], visual: Tensor, limit: int = 16) -> list[str | None]:
    """Greedy answers; None where no eos came within ``limit`` tokens (an unparsed answer)."""
    by_prompt: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        by_prompt[item.prompt].append(index)
    answers: list[str | None] = [None] * len(items)
    for prompt, indices in by_prompt.items():
        ids = torch.tensor(llm.prompt_ids([prompt]), device=llm.device)
        prefix = llm.embed(ids).expand(len(indices), -1, -1)
        inputs = torch.cat([visual[indices].to(prefix.dtype), prefix], dim=1)
        output = llm.backbone.llm.generate(
            inputs_embeds=inputs,
            attention_mask=torch.ones(inputs.shape[:2], dtype=torch.long, device=inputs.device),
            max_new_tokens=limit,
            do_sample=False,
            eos_token_id=llm.eos,
            pad_token_id=llm.eos,
        )
        for index, ids in zip(indices, output.tolist(), strict=True):
            if llm.eos in ids:
                text = str(llm.backbone.tokenizer.decode(ids[: ids.index(llm.eos)]))
                answers[index] = text.strip() or None
    return answers
