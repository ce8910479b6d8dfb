"""Options of MoR; the defaults are the paper's where it states them, its router sized for nano backbones."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fedbench import Options


class MoROptions(Options):
    """Options of ``mor``, see ``mor.py``; each ablation of the paper changes one of them."""

    routing: Literal["top1", "soft", "topk", "thompson"] = Field(
        "thompson",
        description="query the likeliest client, all by weight, the k likeliest, or by Thompson sampling",
    )
    k: int = Field(2, ge=1, description="clients queried under topk")
    normalise: bool = Field(True, description="use rewards normalised by each client's own μ and σ")
    clip: float | None = Field(None, gt=0, description="bound on a normalised reward's size")
    width: int = Field(32, ge=1, description="width of the router")
    layers: int = Field(4, ge=1, description="its Transformer layers")
    heads: int = Field(4, ge=1, description="their attention heads")
    rounds: int = Field(50, ge=0, description="rounds of federated training of the router")
    steps: int = Field(
        2, ge=1, description="local steps a round; many let each client call every answer its own"
    )
    batch_size: int = Field(16, ge=1, description="answers a local step")
    lr: float = Field(1e-3, gt=0, description="learning rate of the router")
    loss: Literal["bce", "ce"] = Field("bce", description="binary cross-entropy per client, or softmax")
    nu: float = Field(0.1, ge=0, description="ν, how widely Thompson sampling explores")
    lam: float = Field(1.0, gt=0, description="λ, the ridge of U and of the head's pull to its start")
    head_lr: float = Field(1e-3, gt=0, description="learning rate of the head's online updates")
    feedback: Literal["delta_mean_reward", "delta_j", "delta_val"] = Field(
        "delta_mean_reward",
        description="a good step raises the mean reward over its moving average, GRPO's J, or validation",
    )
    literal_feedback: bool = Field(False, description="r_t as printed: 1 where the objective fell")
    memory: float = Field(0.9, ge=0, lt=1, description="decay of the moving average of the mean reward")

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self
