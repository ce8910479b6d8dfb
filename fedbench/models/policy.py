"""The policy of the preference track: a vision-language model whose projector and LLM learn.

Its vision tower is frozen, so images enter as cached features. Answers are sampled for all groups in one
batch with a KV cache (a question is read once, not once a sample) and scored without padding.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        """Every question ``group`` times in a row."""
        return Questions(
            self.images.repeat_interleave(group),
            [prompt for prompt in self.prompts for _ in range(group)],
        )


@dataclass(frozen=True)
class Answers:
    """``ids`` [N, L]; ``mask`` [N, L] is True up to and with eos; ``logp`` [N, L] is what the tokens were
    sampled with; ``ended`` [N]: whether eos came within the limit."""

    ids: Tensor
    mask: Tensor
    logp: Tensor
    ended: Tensor


class Policy(nn.Module):
    """``start`` are the projector's first parameters, ``features`` [images, T, F] the vision tower's. Every
    parameter is a view of one vector, ``flat`` [P].

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

    def load(self, params: Tensor) -> None:
        """Take the parameters ``params`` [P]."""
        self.flat.copy_(params)

    def gradient(self) -> Tensor:
        """[P], of what was last differentiated; it is forgotten by that."""
        found = {
            name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for name, parameter in self.named_parameters()
        }
        self.zero_grad(set_to_none=True)
        return self.space.flatten(found)

    @torch.no_grad()
    def project(self, params: Tensor, images: Sequence[int]) -> Tensor:
        """Visual tokens of ``images`` once ``params`` [P] are loaded; an evaluator's way in."""
        self.load(params)
        return self.visual(torch.tensor(images, device=self.features.device))

    def visual(self, images: Tensor) -> Tensor:
        """[N] rows of the features to [N, T, D] visual tokens."""
        return self.projector(self.projected[None], self.features[images][None])[0]

    def logp(self, questions: Questions, ids: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
        """[N, L] log-probabilities of answers' tokens, differentiable; 0 where ``mask`` is False. N is a
        multiple of the questions, whose answers follow each other.

        A question is read once, whatever the number of its answers: they stand behind it in one row, each
        looking at the question and at itself.
        """
        visual = self.llm.framed(self.visual(questions.images))
        prompts, asked = _padded(questions.prompts, left=False, device=ids.device)
        rows = Grouped.of(torch.cat([asked.new_ones(visual.shape[:2]), asked], dim=1), mask)
        inputs = torch.cat([visual, self.llm.embed(prompts), self.llm.embed(rows.packed(ids))], dim=1)
        hidden = self.llm.hidden(inputs, self.llm.positions(rows.places), rows.sight)
        before = hidden[rows.question, rows.before]
        table = (self.llm.logits(before).float() / temperature).log_softmax(-1)
        found = table.gather(1, ids[mask][:, None]).squeeze(1)
        return found.new_zeros(mask.shape).index_put(mask.nonzero(as_tuple=True), found)

    forward = logp

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
        """``group`` answers to each question, [Q·G, L ≤ limit]: :func:`sample`."""
        return sample(
            self.llm, self.visual(questions.images), questions.prompts, group,
            limit=limit, temperature=temperature, stream=stream,
        )  # fmt: skip

    def texts(self, answers: Answers) -> list[str | None]:
        """The answers as text; None for one that never ended."""
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
    """``group`` answers to each of Q questions about ``visual`` [Q, T, D], [Q·G, L ≤ limit], drawn from
    ``stream`` (a CPU generator). A temperature of 0 takes the likeliest token."""
    visual = llm.framed(visual)
    device, eos = visual.device, llm.eos
    asking, asked = _padded(prompts, left=True, device=device)
    # [padding][visual][prompt]: the last place of every row is where its answer begins.
    text, seen = llm.embed(asking), torch.cat([asked.new_ones(visual.shape[:2]), asked], dim=1)
    _, order = _first(~seen)
    inputs = torch.cat([visual, text], dim=1).gather(1, order[..., None].expand(-1, -1, text.shape[2]))
    seen = seen.gather(1, order)
    cache = DynamicCache()

    def read(inputs: Tensor, places: Tensor) -> Tensor:
        """The last hidden state [N, D] after reading ``inputs`` [N, L, D] at ``places``."""
        return llm.hidden(inputs, llm.positions(places), seen, cache)[:, -1]

    hidden = read(inputs, (seen.cumsum(1) - 1).clamp_min(0))
    cache.batch_repeat_interleave(group)
    hidden, seen = hidden.repeat_interleave(group, 0), seen.repeat_interleave(group, 0)
    count = len(seen)
    ids = torch.full((count, limit), eos, device=device)
    mask = torch.zeros(count, limit, dtype=torch.bool, device=device)
    logp = torch.zeros(count, limit, device=device)
    going = torch.arange(count, device=device)  # the answers that have not ended; only they are read on
    for place in range(limit):
        table = (llm.logits(hidden) / (temperature or 1.0)).log_softmax(-1)
        token = _drawn(table, stream) if temperature else table.argmax(1)
        ids[going, place], mask[going, place] = token, True
        logp[going, place] = table.gather(1, token[:, None]).squeeze(1)
        left = (token != eos).nonzero().squeeze(1)
        going, token, seen = going[left], token[left], F.pad(seen[left], (0, 1), value=True)
        if place + 1 == limit or not len(going):
            break
        if len(left) < len(hidden):
            cache.batch_select_indices(left)
        hidden = read(llm.embed(token)[:, None], seen.sum(1, keepdim=True) - 1)
    used = slice(int(mask.sum(1).max()))
    ended = torch.ones(count, dtype=torch.bool, device=device).index_fill(0, going, False)
    return Answers(ids[:, used], mask[:, used], logp[:, used], ended)


def texts(llm: LanguageModel, answers: Answers) -> list[str | None]:
    """The answers as text; None for one that never ended."""
    found: list[str | None] = []
    for ids, mask, ended in zip(answers.ids.tolist(), answers.mask.tolist(), answers.ended, strict=True):
        kept = [token for token, real in zip(ids, mask, strict=True) if real and token != llm.eos]
        text = str(llm.backbone.tokenizer.decode(kept)).strip()
        found.append(text if ended else None)
    return found


def _padded(prompts: Sequence[Sequence[int]], *, left: bool, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [N, W] and which of them are real."""
    rows = [torch.tensor(prompt, dtype=torch.long) for prompt in prompts]
    side = "left" if left else "right"
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1, padding_side=side)
    return ids.clamp_min(0).to(device), (ids >= 0).to(device)


def _first(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """``chosen`` [N, L] with its True places first, and the order [N, L] that brings them there."""
    order = chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    return chosen.gather(1, order), order


def _drawn(logp: Tensor, stream: torch.Generator | None) -> Tensor:
    """A token for every row of [N, V], drawn on the CPU so that every device draws the same."""
    return torch.multinomial(logp.exp().cpu(), 1, generator=stream).squeeze(1).to(logp.device)
