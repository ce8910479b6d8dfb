"""Several answers to one question in one row: the question is read once and every answer sees only itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Grouped:
    """Q rows ``[question, padded to W][answers' tokens, one behind the other, padded to A]``.

    ``places`` [Q, W + A]: where a token stands in its own sequence; ``sight`` [Q, 1, W + A, W + A]: whom it
    sees. Of M answer tokens: ``question`` [M], its row; ``slot`` [M], where behind the question it stands;
    ``before`` [M], the column of what comes before it. ``mask`` [N, L] are the answers' real tokens, ``tail``
    is A.
    """

    places: Tensor
    sight: Tensor
    question: Tensor
    slot: Tensor
    before: Tensor
    mask: Tensor
    tail: int

    @classmethod
    def of(cls, asked: Tensor, mask: Tensor) -> Grouped:
        """``asked`` [Q, W]: the questions' real tokens; ``mask`` [N, L]: the answers', N a multiple of Q."""
        count, width = asked.shape
        group = len(mask) // count
        answer, place = mask.nonzero(as_tuple=True)
        question = answer // group
        per_question = torch.bincount(question, minlength=count)
        tail = int(per_question.max())
        slot = (
            torch.arange(len(answer), device=mask.device) - (per_question.cumsum(0) - per_question)[question]
        )
        length = asked.sum(1)
        before = torch.where(place == 0, length[question] - 1, width + slot - 1)
        # The question belongs to every answer (−1), padding to nobody (−2).
        owner = torch.full((count, width + tail), -2, device=mask.device)
        owner[:, :width] = torch.where(asked, -1, -2)
        owner[question, width + slot] = answer
        places = F.pad(asked.cumsum(1).clamp_min(1) - 1, (0, tail))
        places[question, width + slot] = length[question] + place
        seen, seeing = owner[:, None, :], owner[:, :, None]
        early = places[:, None, :] <= places[:, :, None]
        sight = (seen == -1) & (seeing != -2) & early | (seen == seeing) & (seen >= 0) & early
        sight |= torch.eye(width + tail, dtype=torch.bool, device=mask.device)  # padding sees itself
        return cls(places, sight[:, None], question, slot, before, mask, tail)

    def packed(self, ids: Tensor) -> Tensor:
        """Token ids [N, L] of the answers to [Q, A], as they stand in the rows."""
        packed = ids.new_zeros(len(self.places), self.tail)
        return packed.index_put((self.question, self.slot), ids[self.mask])
