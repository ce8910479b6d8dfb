"""Options of the baselines: a class for each method that has any, named as in its paper. Imports no torch."""

from __future__ import annotations

from pydantic import Field

from fedbench import Options


class FedProxOptions(Options):
    """Options of ``fedprox``, see ``fedprox.py``."""

    mu: float = Field(0.01, ge=0, description="weight μ of the proximal term (μ/2)‖w − x‖²")


class FedDynOptions(Options):
    """Options of ``feddyn``, see ``feddyn.py``."""

    alpha: float = Field(0.01, gt=0, description="strength α of the correction")


class FedExPOptions(Options):
    """Options of ``fedexp``, see ``fedexp.py``."""

    eps: float = Field(1e-3, gt=0, description="ε, which keeps the step small where updates vanish")


class MoonOptions(Options):
    """Options of ``moon``, see ``moon.py``."""

    mu: float = Field(1.0, ge=0, description="weight μ of the contrastive loss")
    tau: float = Field(0.5, gt=0, description="temperature τ")


class FedAvgMOptions(Options):
    """Options of ``fedavgm``, see ``fedavgm.py``."""

    beta: float = Field(0.9, ge=0, lt=1, description="momentum β of the server")
    eta: float = Field(1.0, gt=0, description="server learning rate η")


class FedOptOptions(Options):
    """Options of ``fedadam``, ``fedyogi`` and ``fedadagrad``, see ``fedopt.py``; Adagrad does not use β2."""

    eta: float = Field(1e-2, gt=0, description="server learning rate η")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay β1 of the first moment")
    beta2: float = Field(0.99, ge=0, lt=1, description="decay β2 of the second moment")
    tau: float = Field(1e-3, gt=0, description="adaptivity τ; the second moment starts at τ²")


class TaskArithmeticOptions(Options):
    """Options of ``fedavg-ta``, see ``merging.py``."""

    lam: float = Field(1.0, gt=0, description="scale λ of the merged update")


class TiesOptions(TaskArithmeticOptions):
    """Options of ``fedavg-ties``, see ``merging.py``."""

    keep: float = Field(0.2, gt=0, le=1, description="share of each update's entries that is kept")


class DareOptions(Options):
    """Options of ``fedavg-dare``, see ``merging.py``."""

    drop: float = Field(0.1, ge=0, lt=1, description="chance p that an entry is dropped")


class TrimmedMeanOptions(Options):
    """Options of ``trimmed-mean``, see ``robust.py``."""

    beta: float = Field(0.2, ge=0, lt=0.5, description="share β of the clients dropped on each side")


class KrumOptions(Options):
    """Options of ``krum``, see ``robust.py``."""

    f: int = Field(1, ge=0, description="Byzantine clients to withstand")


class MultiKrumOptions(KrumOptions):
    """Options of ``multikrum``, see ``robust.py``."""

    m: int | None = Field(None, ge=1, description="updates to average; n − f when absent")


class SingleOptions(Options):
    """Options of ``reward-single``, see ``rewards.py``."""

    client: int | None = Field(None, ge=0, description="whose rewards; the best on validation when absent")


class PluralLLMOptions(Options):
    """Options of ``pluralllm``, see ``rewards.py``."""

    memory: float = Field(0.8, ge=0, lt=1, description="m, how slowly a client's history moves")
    temperature: float = Field(0.1, gt=0, description="τ of the weights for who was served badly")
    fair: float = Field(0.99, gt=0, le=1, description="fairness index from which the mean is used")
