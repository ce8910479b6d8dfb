"""Log-likelihoods and greedy generations of the frozen LLM for evaluation items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from fedbench.data.form import Likelihoods
from fedbench.data.items import Item
from fedbench.evaluation.packing import PackedBatch
from fedbench.models.language import LanguageModel
from fedbench.models.policy import sample, texts


@torch.inference_mode()
def likelihoods(llm: LanguageModel, batches: Sequence[PackedBatch], visual: Tensor | None) -> Likelihoods:
    """Score packed items; ``visual`` is [items, T, D] projected tokens, or None for the prior without an
    image."""
    count = sum(len(batch.items) for batch in batches)
    logp: list[list[float]] = [[] for _ in range(count)]
    tokens, hits = [0] * count, [0] * count
    for batch in batches:
        text = llm.embed(batch.ids)
        image = llm.with_template(text[:, :0] if visual is None else visual[batch.items])
        width = image.shape[1]
        before = torch.arange(width, device=text.device).expand(len(batch.items), -1)
        positions = torch.cat([before, batch.offsets + width], dim=1)
        if visual is not None:
            positions = llm.position_ids(positions)
        hidden = llm.hidden(torch.cat([image, text], dim=1), positions, batch.mask(width))
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
        offered = present.view(-1, choices).sum(1).tolist()
        scored = torch.bincount(batch.row, minlength=len(batch.items)).tolist()
        ranked_first = torch.bincount(batch.row[best], minlength=len(batch.items)).tolist()
        for row, item in enumerate(batch.items):
            logp[item] = total[row, : offered[row]].tolist()
            tokens[item], hits[item] = scored[row], ranked_first[row]
    return Likelihoods(logp=logp, tokens=tokens, hits=hits)


@torch.inference_mode()
def generate(llm: LanguageModel, items: Sequence[Item], visual: Tensor, limit: int = 16) -> list[str | None]:
    """The greedy answer to each item; None where no eos came within ``limit`` tokens (an unparsed answer)."""
    by_prompt: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        by_prompt[item.prompt].append(index)
    answers: list[str | None] = [None] * len(items)
    for prompt, indices in by_prompt.items():
        prompts = llm.prompt_ids([prompt] * len(indices))
        drawn = sample(llm, visual[indices], prompts, 1, limit=limit, temperature=0.0, stream=None)
        for index, text in zip(indices, texts(llm, drawn), strict=True):
            answers[index] = text or None
    return answers
