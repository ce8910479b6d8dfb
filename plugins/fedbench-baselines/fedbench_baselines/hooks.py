"""The methods of this package: names, papers and the identities they promise. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench import MethodSpec, Reduction, hookimpl
from fedbench_baselines.options import (
    DareOptions,
    FedAvgMOptions,
    FedDynOptions,
    FedExPOptions,
    FedOptOptions,
    FedProxOptions,
    KrumOptions,
    MoonOptions,
    MultiKrumOptions,
    PluralLLMOptions,
    SingleOptions,
    TaskArithmeticOptions,
    TiesOptions,
    TrimmedMeanOptions,
)

FEDOPT = "fedbench_baselines.fedopt"
MERGING = "fedbench_baselines.merging"
REWARDS = "fedbench_baselines.rewards"
ROBUST = "fedbench_baselines.robust"
SUMS = "x + Σ p Δ and Σ p y differ in rounding only"


@hookimpl
def fedbench_register_methods() -> Iterator[MethodSpec]:
    yield from _anchors()
    yield from _averaging()
    yield from _with_client_state()
    yield from _server_optimisers()
    yield from _merging()
    yield from _robust()
    yield from _policy_averaging()
    yield from _reward_fusion()


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
        name="feddyn",
        track="alignment",
        factory="fedbench_baselines.feddyn:FedDyn",
        summary="each client's loss corrected so that its optimum is the global one",
        paper="Acar et al. 2021, arXiv 2111.04263",
        options=FedDynOptions,
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
    yield MethodSpec(
        name="fedexp",
        track="alignment",
        factory="fedbench_baselines.fedexp:FedExP",
        summary="a server step that is the larger the more the updates disagree",
        paper="Jhunjhunwala et al. 2023, arXiv 2301.09604",
        options=FedExPOptions,
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


def _policy_averaging() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="fedavg-dpo",
        track="preference",
        factory="fedbench_baselines.fedavg:FedAvg",
        summary="clients optimise the policy on their preferences (DPO), the server averages it",
        paper="Rafailov et al. 2023, arXiv 2305.18290; McMahan et al. 2017, arXiv 1602.05629",
    )


def _reward_fusion() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="gold-reward",
        track="preference",
        factory=f"{REWARDS}:GoldReward",
        summary="anchor: the true reward, an upper bound",
    )
    yield MethodSpec(
        name="reward-mean",
        track="preference",
        factory=f"{REWARDS}:RewardMean",
        summary="the mean of the clients' rewards",
    )
    yield MethodSpec(
        name="reward-random",
        track="preference",
        factory=f"{REWARDS}:RewardRandom",
        summary="a client's reward, drawn for every answer",
    )
    yield MethodSpec(
        name="reward-min",
        track="preference",
        factory=f"{REWARDS}:RewardMin",
        summary="the lowest of the clients' rewards",
    )
    yield MethodSpec(
        name="reward-max",
        track="preference",
        factory=f"{REWARDS}:RewardMax",
        summary="the highest of the clients' rewards",
    )
    yield MethodSpec(
        name="reward-single",
        track="preference",
        factory=f"{REWARDS}:RewardSingle",
        summary="one client's rewards, the best on validation",
        options=SingleOptions,
    )
    yield MethodSpec(
        name="reward-fedavg",
        track="preference",
        factory=f"{REWARDS}:RewardFedAvg",
        summary="the clients' reward models averaged",
        paper="arXiv 1602.05629",
    )
    yield MethodSpec(
        name="pluralllm",
        track="preference",
        factory=f"{REWARDS}:PluralLLM",
        summary="adaptive weights (APPA's, a stand-in)",
        options=PluralLLMOptions,
        paper="arXiv 2604.04261",
    )
