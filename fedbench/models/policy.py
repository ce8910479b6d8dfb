"""The policy of the preference track: a vision-language model whose projector and LLM are trained.

Its vision tower is frozen, so images enter as cached features. Answers are sampled for all groups in one
batch with a KV cache (a question is read once, not once a sample) and scored without padding.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DynamicCache

from fedbench.models.backbone import Backbone
from fedbench.models.grouped import Grouped
from fedbench.models.language import LanguageModel
from fedbench.models.projector import Projector
from fedbench.params import ParamSpace


@dataclass(frozen=True)
class Questions:
    """What a policy is asked: an image and a prompt each.

    >>> import torch
    >>> from fedbench import Questions
    >>> questions = Questions(images=torch.tensor([4, 7]), prompts=[[11, 12], [11, 13, 14]])
    >>> questions.repeated(2).images.tolist()
    [4, 4, 7, 7]
    """

    images: Tensor
    """[N]: rows of the policy's features."""
    prompts: Sequence[Sequence[int]]
    """Token ids of each prompt."""

    def __len__(self) -> int:
        return len(self.prompts)

    def repeated(self, group: int) -> Questions:
        """Each question ``group`` times, one after another."""
        return Questions(
            self.images.repeat_interleave(group),
            [prompt for prompt in self.prompts for _ in range(group)],
        )


@dataclass(frozen=True)
class Answers:
    """N sampled answers: ``ids`` [N, L]; ``mask`` [N, L], True up to eos and at it; ``logp`` [N, L], the
    log-probabilities that the tokens were sampled with; ``ended`` [N], whether eos came within the limit."""

    ids: Tensor
    mask: Tensor
    logp: Tensor
    ended: Tensor


class Policy(nn.Module):
    """A copy of the backbone's LLM and a projector that starts at ``start``, over the vision tower's
    ``features`` [images, T, F]. Every parameter is a view of one vector, ``flat`` [P].

    The weights are float32 whatever the backbone's are: a step of GRPO is far below bfloat16's resolution.

    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from fedbench import Backbone, Policy, Projector, torch_stream
    >>> tiny = LlamaConfig(
    ...     vocab_size=32, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    ... )
    >>> backbone = Backbone(
    ...     name="tiny", fingerprint="0" * 64, encoder="1" * 64, encode=lambda images: torch.zeros(1, 4, 6),
    ...     llm=LlamaForCausalLM(tiny), tokenizer=None,
    ... )
    >>> projector = Projector(features=6, hidden=5, width=backbone.width)
    >>> start, features = projector.init(torch_stream(0, "projector")), torch.zeros(3, 4, 6)
    >>> policy = Policy(backbone, projector, start, features)
    >>> policy.visual(torch.tensor([0, 2])).shape  # of two images
    torch.Size([2, 4, 8])
    """

    def __init__(self, backbone: Backbone, projector: Projector, start: Tensor, features: Tensor) -> None:
        super().__init__()
        self.weights = copy.deepcopy(backbone.llm).float().requires_grad_(True)
        self.projected = nn.Parameter(start.clone())
        self.llm = LanguageModel(replace(backbone, llm=self.weights))
        self.projector, self.features = projector, features
        self.space = ParamSpace.of(self)
        self.flat = self.space.flatten(dict(self.named_parameters())).detach()
        views = self.space.views(self.flat)
        for name, parameter in self.named_parameters():
            parameter.data = views[name]

    @classmethod
    def of(cls, backbone: Backbone, features: Tensor) -> Policy:
        """A policy that starts as the backbone is, whose projector it needs."""
        if backbone.projector is None:
            raise ValueError(f"backbone {backbone.name!r} has no projector")
        start = backbone.projector.to(features.device)
        projector = Projector.holding(start, features.shape[-1], backbone.width)
        return cls(backbone, projector, start, features)

    def load(self, params: Tensor) -> None:
        """Overwrite the parameters with ``params`` [P]."""
        self.flat.copy_(params)

    def gradient(self) -> Tensor:
        """Take the accumulated gradient [P]; the parameters have none afterwards."""
        gradients = {
            name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for name, parameter in self.named_parameters()
        }
        self.zero_grad(set_to_none=True)
        return self.space.flatten(gradients)

    def visual(self, images: Tensor) -> Tensor:
        """Visual tokens [N, T, D] of ``images`` [N], rows of the features."""
        return self.projector(self.projected[None], self.features[images][None])[0]

    def logp(self, questions: Questions, ids: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probabilities [N, L] of the answers' tokens ``ids``, differentiable; 0 where ``mask`` is False.

        N is a multiple of the questions, and a question's answers follow each other. A question is read once,
        whatever the number of its answers: they stand after it in one row, each attending to the question and
        to itself.
        """
        visual = self.llm.with_template(self.visual(questions.images))
        prompts, prompt_mask = _padded(questions.prompts, left=False, device=ids.device)
        question_mask = torch.cat([prompt_mask.new_ones(visual.shape[:2]), prompt_mask], dim=1)
        rows = Grouped.of(question_mask, mask)
        inputs = torch.cat([visual, self.llm.embed(prompts), self.llm.embed(rows.packed(ids))], dim=1)
        table = _log_probabilities(self.llm.logits(self._before(inputs, rows)), temperature)
        logp = table.gather(1, ids[mask][:, None]).squeeze(1)
        return logp.new_zeros(mask.shape).index_put(mask.nonzero(as_tuple=True), logp)

    forward = logp

    def _before(self, inputs: Tensor, rows: Grouped) -> Tensor:
        """Final hidden states [M, D] of the tokens before each of M answer tokens of ``rows``.

        Without a gradient only tokens that something stands behind are read. With one, padding is read too:
        it decides in which order the weights' gradients are summed, and so their last bits.
        """
        if torch.is_grad_enabled():
            hidden = self.llm.hidden(inputs, self.llm.position_ids(rows.position_ids), rows.attention_mask)
            return hidden[rows.question, rows.before]
        ragged = rows.ragged
        hidden = self.llm.hidden_ragged(ragged.pack(inputs), ragged, ragged.pack(rows.position_ids))
        return hidden[ragged.number[rows.question, rows.before]]

    @torch.no_grad()
    def sample(
        self,
        questions: Questions,
        group: int,
        *,
        limit: int,
        temperature: float,
        stream: torch.Generator | None,
    ) -> Answers:
        """Sample ``group`` answers to each question, [Q·G, L ≤ limit], as :func:`sample` does."""
        return sample(
            self.llm,
            self.visual(questions.images),
            questions.prompts,
            group,
            limit=limit,
            temperature=temperature,
            stream=stream,
        )

    def texts(self, answers: Answers) -> list[str | None]:
        """The answers as text; None for one without eos."""
        return texts(self.llm, answers)


@torch.no_grad()
def sample(
    llm: LanguageModel,
    visual: Tensor,
    prompts: Sequence[Sequence[int]],
    group: int,
    *,
    limit: int,
    temperature: float,
    stream: torch.Generator | None,
) -> Answers:
    """Sample ``group`` answers to each of Q questions about ``visual`` [Q, T, D], [Q·G, L ≤ limit], from
    ``stream`` (a CPU generator). A temperature of 0 takes the likeliest token."""
    visual = llm.with_template(visual)
    device, eos = visual.device, llm.eos
    prompt_ids, prompt_mask = _padded(prompts, left=True, device=device)
    # [padding][visual][prompt]: every row's answer begins after its last column.
    text, real = (
        llm.embed(prompt_ids),
        torch.cat([prompt_mask.new_ones(visual.shape[:2]), prompt_mask], dim=1),
    )
    _, order = _first(~real)
    inputs = torch.cat([visual, text], dim=1).gather(1, order[..., None].expand(-1, -1, text.shape[2]))
    real = real.gather(1, order)
    kept = DynamicCache()

    def read(inputs: Tensor, positions: Tensor) -> Tensor:
        """The last hidden state [N, D] after reading ``inputs`` [N, L, D] at ``positions`` [N, L]."""
        return llm.hidden(inputs, llm.position_ids(positions), real, kept)[:, -1]

    hidden = read(inputs, (real.cumsum(1) - 1).clamp_min(0))
    kept.batch_repeat_interleave(group)
    hidden, real = hidden.repeat_interleave(group, 0), real.repeat_interleave(group, 0)
    count = len(real)
    ids = torch.full((count, limit), eos, device=device)
    mask = torch.zeros(count, limit, dtype=torch.bool, device=device)
    logp = torch.zeros(count, limit, device=device)
    going = torch.arange(count, device=device)  # the answers that have not ended; only they are read on
    for position in range(limit):
        table = _log_probabilities(llm.logits(hidden), temperature or 1.0)
        token = _drawn(table, stream) if temperature else table.argmax(1)
        ids[going, position], mask[going, position] = token, True
        logp[going, position] = table.gather(1, token[:, None]).squeeze(1)
        left = (token != eos).nonzero().squeeze(1)
        going, token, real = going[left], token[left], F.pad(real[left], (0, 1), value=True)
        if position + 1 == limit or not len(going):
            break
        if len(left) < len(hidden):
            kept.batch_select_indices(left)
        hidden = read(llm.embed(token)[:, None], real.sum(1, keepdim=True) - 1)
    used = slice(int(mask.sum(1).max()))
    ended = torch.ones(count, dtype=torch.bool, device=device).index_fill(0, going, False)
    return Answers(ids[:, used], mask[:, used], logp[:, used], ended)


def texts(llm: LanguageModel, answers: Answers) -> list[str | None]:
    """The answers as text; None for one that never ended."""
    eos, tokenizer = llm.eos, llm.backbone.tokenizer

    @cache
    def decoded(tokens: tuple[int, ...]) -> str:
        return str(tokenizer.decode(list(tokens))).strip()

    rows = zip(answers.ids.tolist(), answers.mask.tolist(), answers.ended.tolist(), strict=True)
    return [
        decoded(tuple(token for token, real in zip(ids, mask, strict=True) if real and token != eos))
        if ended
        else None
        for ids, mask, ended in rows
    ]


def _log_probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Of [..., V] tokens; a division by one is left out, since the table is large."""
    return (logits if temperature == 1 else logits / temperature).log_softmax(-1)


def _padded(prompts: Sequence[Sequence[int]], *, left: bool, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [N, W] and which of them are real."""
    rows = [torch.tensor(prompt, dtype=torch.long) for prompt in prompts]
    side = "left" if left else "right"
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1, padding_side=side)
    return ids.clamp_min(0).to(device), (ids >= 0).to(device)


def _first(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """``chosen`` [N, L] with its True columns first, and the order [N, L] that brings them there."""
    order = chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    return chosen.gather(1, order), order


def _drawn(logp: Tensor, stream: torch.Generator | None) -> Tensor:
    """A token for every row of log-probabilities [N, V], drawn on the CPU: every device draws the same."""
    return torch.multinomial(logp.exp().cpu(), 1, generator=stream).squeeze(1).to(logp.device)
