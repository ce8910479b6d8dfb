"""Options of Fed-CMP: the defaults are the printed method, the README says where that is silent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fedbench import Options

# A strict int, so that 1.0 is refused instead of being read as "keep one column".
Columns = Annotated[int, Field(ge=1, strict=True)]
Energy = Annotated[float, Field(gt=0, lt=1)]


class FedCMPOptions(Options):
    """Options of ``fed-cmp``: three switches, whose eight combinations are the paper's ablation, and how each
    part works."""

    csc: bool = Field(default=True, description="Merge in the canonical space, the shared basis UΣ.")
    rwf: bool = Field(default=True, description="Weight clients by reliability; off: by n_k/n.")
    opm: bool = Field(default=True, description="Momentum across rounds; without csc, on the weights.")

    magnitude: bool = Field(default=True, description="Reliability counts the size of the update.")
    quality: bool = Field(default=True, description="Reliability counts the modality gap d_k.")
    alpha: float = Field(default=1.0, ge=0, description="α in exp(−α d_k); 0 ignores the gap.")
    magnitude_power: Literal[1, 2] = Field(default=2, description="Power of ‖θ_k − θ_{r−1}‖.")
    distance: Literal["l2", "sq", "cos"] = Field(
        default="l2", description="d_k: Euclidean, squared Euclidean, or cosine distance."
    )

    beta_rule: Literal["eq8", "shift", "fixed"] = Field(
        default="eq8",
        description="β falls as the basis shifts (eq8, as printed), rises (shift, as introduced), "
        "or is fixed.",
    )
    beta_min: float = Field(default=0.5, ge=0, le=1, description="Smallest β of eq8 and shift.")
    beta_max: float = Field(default=0.9, ge=0, le=1, description="Largest β of eq8 and shift.")
    beta: float = Field(default=0.7, ge=0, le=1, description="β when beta_rule is fixed.")
    lam: float = Field(default=1.0, gt=0, description="λ, the exponent of CosDis in eq8 and shift.")
    align: Literal["sign", "match"] = Field(
        default="sign",
        description="Before momentum, fix the columns' signs, or first match columns by |cos|.",
    )

    target: Literal["weights", "updates"] = Field(
        default="weights",
        description="Decompose W_k (as printed), or Δ_k and add the result to θ_{r−1}.",
    )
    rank: Columns | Energy | None = Field(
        default=None,
        description="Columns kept of each basis: all (none), an int, or a share of Σσ² in (0, 1).",
    )
    fuse: Literal["mean", "ties", "dare"] = Field(
        default="mean", description="How the V_k merge: weighted mean, TIES, or DARE."
    )
    ties_keep: float = Field(default=0.2, gt=0, le=1, description="Share of V_k's entries TIES keeps.")
    dare_drop: float = Field(default=0.1, ge=0, lt=1, description="Probability that DARE drops an entry.")

    @model_validator(mode="after")
    def _consistent(self) -> FedCMPOptions:
        if self.beta_min > self.beta_max:
            raise ValueError(f"beta_min {self.beta_min} is above beta_max {self.beta_max}")
        if not self.csc and (self.rank is not None or self.fuse != "mean"):
            raise ValueError("rank and fuse act in the canonical space: leave them out, or set csc")
        return self
