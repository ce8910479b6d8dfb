"""The methods of this package: names, papers, options and the identities they promise."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from fedbench import MethodSpec, Options, Reduction, hookimpl


class FedProxOptions(Options):
    mu: float = Field(0.01, ge=0, description="weight μ of the proximal term (μ/2)‖w − x‖²")


class MoonOptions(Options):
    mu: float = Field(1.0, ge=0, description="weight μ of the contrastive loss")
    tau: float = Field(0.5, gt=0, description="temperature τ")


class FedAvgMOptions(Options):
    beta: float = Field(0.9, ge=0, lt=1, description="momentum β of the server")
    eta: float = Field(1.0, gt=0, description="server learning rate η")


class FedOptOptions(Options):
    eta: float = Field(1e-2, gt=0, description="server learning rate η")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay β1 of the first moment")
    beta2: float = Field(0.99, ge=0, lt=1, description="decay β2 of the second moment")
    tau: float = Field(1e-3, gt=0, description="adaptivity τ; the second moment starts at τ²")


class TaskArithmeticOptions(Options):
    lam: float = Field(1.0, gt=0, description="scale λ of the merged update")


class TiesOptions(TaskArithmeticOptions):
    keep: float = Field(0.2, gt=0, le=1, description="share of each update's entries that is kept")


class DareOptions(Options):
    drop: float = Field(0.1, ge=0, lt=1, description="chance p that an entry is dropped")


class TrimmedMeanOptions(Options):
    beta: float = Field(0.2, ge=0, lt=0.5, description="share β of the clients dropped on each side")


class KrumOptions(Options):
    f: int = Field(1, ge=0, description="Byzantine clients to withstand")


class MultiKrumOptions(KrumOptions):
    m: int | None = Field(None, ge=1, description="updates to average; n − f when absent")


class SingleOptions(Options):
    client: int | None = Field(None, ge=0, description="whose rewards; the best on validation when absent")


class PluralLLMOptions(Options):
    memory: float = Field(0.8, ge=0, lt=1, description="m, how slowly a client's history moves")
    temperature: float = Field(0.1, gt=0, description="τ of the weights for who was served badly")
    fair: float = Field(0.99, gt=0, le=1, description="fairness index from which the mean is used")


MERGING = "fedbench_baselines.merging"
FEDOPT = "fedbench_baselines.fedopt"
ROBUST = "fedbench_baselines.robust"
SUMS = "x + Σ p Δ and Σ p y differ in rounding only"


def _anchors() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="start",
        track="any",
        factory="fedbench_baselines.anchors:Start",
        summary="anchor: the untouched start, nobody trains",
    )
    yield MethodSpec(
        name="local",
        track="alignment",
        factory="fedbench_baselines.anchors:Local",
        summary="anchor: every client for itself; the score is the mean over clients",
    )
    yield MethodSpec(
        name="centralized",
        track="alignment",
        factory="fedbench_baselines.anchors:Centralized",
        summary="anchor: one model on the pooled data, same examples and steps",
    )


def _averaging() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="fedavg",
        track="alignment",
        factory="fedbench_baselines.fedavg:FedAvg",
        summary="federated averaging, weighted by examples used",
        paper="McMahan et al. 2017, arXiv 1602.05629",
    )
    yield MethodSpec(
        name="fedprox",
        track="alignment",
        factory="fedbench_baselines.fedprox:FedProx",
        summary="FedAvg with a proximal term that keeps clients near the global model",
        paper="Li et al. 2020, arXiv 1812.06127",
        options=FedProxOptions,
        reductions=(Reduction("fedavg", {"mu": 0.0}, why="the proximal gradient vanishes"),),
    )
    yield MethodSpec(
        name="fednova",
        track="alignment",
        factory="fedbench_baselines.fednova:FedNova",
        summary="updates normalised by the steps behind them",
        paper="Wang et al. 2020, arXiv 2007.07481",
    )


def _with_client_state() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="scaffold",
        track="alignment",
        factory="fedbench_baselines.scaffold:Scaffold",
        summary="control variates that undo client drift",
        paper="Karimireddy et al. 2020, arXiv 1910.06378",
    )
    yield MethodSpec(
        name="moon",
        track="alignment",
        factory="fedbench_baselines.moon:Moon",
        summary="a contrastive loss towards the global and away from the last local projector",
        paper="Li et al. 2021, arXiv 2103.16257",
        options=MoonOptions,
        reductions=(Reduction("fedavg", {"mu": 0.0}, why="the contrastive loss has no weight"),),
    )


def _server_optimisers() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="fedavgm",
        track="alignment",
        factory="fedbench_baselines.fedavgm:FedAvgM",
        summary="FedAvg with momentum on the server",
        paper="Hsu et al. 2019, arXiv 1909.06335",
        options=FedAvgMOptions,
        reductions=(Reduction("fedavg", {"beta": 0.0}, tolerance=1e-6, why=SUMS),),
    )
    for name, factory in (("fedadam", "FedAdam"), ("fedyogi", "FedYogi"), ("fedadagrad", "FedAdagrad")):
        yield MethodSpec(
            name=name,
            track="alignment",
            factory=f"{FEDOPT}:{factory}",
            summary=f"{factory.removeprefix('Fed')} on the server, the mean update as its gradient",
            paper="Reddi et al. 2021, arXiv 2003.00295",
            options=FedOptOptions,
        )


def _merging() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="fedavg-ta",
        track="alignment",
        factory=f"{MERGING}:TaskArithmetic",
        summary="task arithmetic on the clients' updates",
        paper="Ilharco et al. 2023, arXiv 2212.04089",
        options=TaskArithmeticOptions,
        reductions=(Reduction("fedavg", tolerance=1e-6, why=SUMS),),
    )
    yield MethodSpec(
        name="fedavg-ties",
        track="alignment",
        factory=f"{MERGING}:Ties",
        summary="trim, elect a sign, average the clients that agree",
        paper="Yadav et al. 2023, arXiv 2306.01708",
        options=TiesOptions,
    )
    yield MethodSpec(
        name="fedavg-dare",
        track="alignment",
        factory=f"{MERGING}:Dare",
        summary="drop entries of the updates at random, rescale the rest",
        paper="Yu et al. 2024, arXiv 2311.03099",
        options=DareOptions,
        reductions=(Reduction("fedavg", {"drop": 0.0}, tolerance=1e-6, why=SUMS),),
    )


def _robust() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="median",
        track="alignment",
        factory=f"{ROBUST}:Median",
        summary="the clients' median, per coordinate",
        paper="Yin et al. 2018, arXiv 1803.01498",
    )
    yield MethodSpec(
        name="trimmed-mean",
        track="alignment",
        factory=f"{ROBUST}:TrimmedMean",
        summary="the mean without the extremes, per coordinate",
        paper="Yin et al. 2018, arXiv 1803.01498",
        options=TrimmedMeanOptions,
    )
    yield MethodSpec(
        name="krum",
        track="alignment",
        factory=f"{ROBUST}:Krum",
        summary="the one update with the closest neighbours",
        paper="Blanchard et al. 2017, arXiv 1703.02757",
        options=KrumOptions,
    )
    yield MethodSpec(
        name="multikrum",
        track="alignment",
        factory=f"{ROBUST}:MultiKrum",
        summary="the mean of the updates with the closest neighbours",
        paper="Blanchard et al. 2017, arXiv 1703.02757",
        options=MultiKrumOptions,
        reductions=(Reduction("krum", {"m": 1}, why="the mean of one"),),
    )


@hookimpl
def fedbench_register_methods() -> Iterator[MethodSpec]:
    yield from _anchors()
    yield from _averaging()
    yield from _with_client_state()
    yield from _server_optimisers()
    yield from _merging()
    yield from _robust()
    yield MethodSpec(
        name="fedavg-dpo",
        track="preference",
        factory="fedbench_baselines.fedavg:FedAvg",
        summary="clients optimise the policy on their preferences (DPO), the server averages it",
        paper="Rafailov et al. 2023, arXiv 2305.18290; McMahan et al. 2017, arXiv 1602.05629",
    )
    for name, factory, summary, options, paper in REWARDS:
        yield MethodSpec(
            name=name,
            track="preference",
            factory=f"fedbench_baselines.rewards:{factory}",
            summary=summary,
            options=options,
            paper=paper,
        )


REWARDS = (
    ("reward-mean", "RewardMean", "the mean of the clients' rewards", Options, ""),
    ("reward-random", "RewardRandom", "a client's reward, drawn for every answer", Options, ""),
    ("reward-min", "RewardMin", "the lowest of the clients' rewards", Options, ""),
    ("reward-max", "RewardMax", "the highest of the clients' rewards", Options, ""),
    ("reward-single", "RewardSingle", "one client's rewards, the best on validation", SingleOptions, ""),
    ("reward-fedavg", "RewardFedAvg", "the clients' reward models averaged", Options, "arXiv 1602.05629"),
    ("gold-reward", "GoldReward", "anchor: the true reward, an upper bound", Options, ""),
    ("pluralllm", "PluralLLM", "adaptive weights (APPA's, a stand-in)", PluralLLMOptions, "arXiv 2604.04261"),
)
