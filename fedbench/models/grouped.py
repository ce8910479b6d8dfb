"""Several answers to one question in one row: the question is read once and every answer sees only itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from fedbench.models.ragged import Ragged

QUESTION, PADDING = -1, -2
"""Owners of tokens beside the answers, which are 0, 1, …"""


@dataclass(frozen=True)
class Grouped:
    """Q rows ``[question, padded to W][answers' tokens, one after another, padded to A]``.

    ``position_ids`` [Q, W + A]: a token's position in the sequence of its question and answer.
    ``attention_mask`` [Q, 1, W + A, W + A]: True where a token (dimension 2) may attend to another (3).
    Of the M answer tokens: ``question`` [M], the row; ``slot`` [M], the column after the question's W;
    ``before`` [M], the column of the token before it. ``read`` [Q, W + A]: the tokens that another one stands
    behind, those before some answer token. ``mask`` [N, L]: the answers' real tokens; ``tail``: A.
    """

    position_ids: Tensor
    attention_mask: Tensor
    question: Tensor
    slot: Tensor
    before: Tensor
    read: Tensor
    mask: Tensor
    tail: int

    @classmethod
    def of(cls, question_mask: Tensor, mask: Tensor) -> Grouped:
        """Lay out questions whose real tokens are ``question_mask`` [Q, W] and answers whose real tokens are
        ``mask`` [N, L]; N is a multiple of Q and a question's answers follow each other."""
        count, width = question_mask.shape
        group = len(mask) // count
        answer, position = mask.nonzero(as_tuple=True)
        question = answer // group
        per_question = torch.bincount(question, minlength=count)
        tail = int(per_question.max())
        slot = (
            torch.arange(len(answer), device=mask.device) - (per_question.cumsum(0) - per_question)[question]
        )
        length = question_mask.sum(1)
        before = torch.where(position == 0, length[question] - 1, width + slot - 1)
        owner = torch.full((count, width + tail), PADDING, device=mask.device)
        owner[:, :width] = torch.where(question_mask, QUESTION, PADDING)
        owner[question, width + slot] = answer
        position_ids = F.pad(question_mask.cumsum(1).clamp_min(1) - 1, (0, tail))
        position_ids[question, width + slot] = length[question] + position
        read = owner != PADDING
        read[question, width + slot] = position + 1 < mask.sum(1)[answer]
        return cls(
            position_ids=position_ids,
            attention_mask=_attention_mask(owner, position_ids)[:, None],
            question=question,
            slot=slot,
            before=before,
            read=read,
            mask=mask,
            tail=tail,
        )

    @property
    def ragged(self) -> Ragged:
        """The tokens that are read, for a pass over nothing else."""
        return Ragged(self.read, self.attention_mask)

    def packed(self, ids: Tensor) -> Tensor:
        """Token ids [N, L] of the answers to [Q, A], as they stand in the rows."""
        packed = ids.new_zeros(len(self.position_ids), self.tail)
        return packed.index_put((self.question, self.slot), ids[self.mask])


def _attention_mask(owner: Tensor, position_ids: Tensor) -> Tensor:
    """[Q, R, R] for rows whose tokens belong to ``owner`` [Q, R]: causal, to the question and to one's own
    answer; padding attends to itself, since a row of nothing but False gives NaN."""
    to, of = owner[:, None, :], owner[:, :, None]
    causal = position_ids[:, None, :] <= position_ids[:, :, None]
    to_question = (to == QUESTION) & (of != PADDING) & causal
    to_own_answer = (to == of) & (to >= 0) & causal
    itself = torch.eye(owner.shape[1], dtype=torch.bool, device=owner.device)
    return to_question | to_own_answer | itself
