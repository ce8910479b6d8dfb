"""The federation as a fuser sees it: names of reward sources, and what may be asked for and is counted."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fedbench.api.reward_fuser import RewardFederation, RewardFuser, RewardSource, RouterLoss
from fedbench.errors import FedbenchError, UsageError
from fedbench.preference.reward_federation import SimulatedRewardFederation
from fedbench.preference.reward_models import RewardScorer


class FuserView(RewardFederation):
    """Shows ``fuser`` the federation. What it gets are names: only the reward channel can have them score."""

    def __init__(self, federation: SimulatedRewardFederation, fuser: RewardFuser) -> None:
        self._federation, self._fuser = federation, fuser
        self._scorers: dict[RewardSource, RewardScorer] = {}

    @property
    def widths(self) -> tuple[int, int]:
        """F and D: the widths of a response's visual features and of its text embeddings."""
        return self._federation.widths

    @property
    def client_models(self) -> Sequence[RewardSource]:
        """Each client's reward model, normalised."""
        return [self._named(model) for model in self._federation.client_models]

    @property
    def uncalibrated_models(self) -> Sequence[RewardSource]:
        """Each client's reward model without normalisation."""
        return [self._named(model, calibrated=False) for model in self._federation.uncalibrated_models]

    @property
    def gold(self) -> RewardSource:
        """The true reward; :class:`UsageError` for a fuser that isn't privileged."""
        if not self._fuser.privileged:
            raise UsageError(
                f"{type(self._fuser).__name__} asks for the true reward",
                why="no federation has it",
                fix="an upper bound may: it declares privileged = True, which boards show",
            )
        return self._named(self._federation.gold)

    def averaged_model(self) -> RewardSource:
        """Train one reward model by FedAvg."""
        return self._named(self._federation.averaged_model())

    def validation_accuracy(self) -> Tensor:
        """Query every client about the server's public comparisons: the share [K] that each gets right."""
        return self._federation.validation_accuracy()

    def train_router(
        self, network: nn.Module, loss: RouterLoss, *, rounds: int, steps: int, batch_size: int, lr: float
    ) -> Tensor:
        """Train ``network`` by FedAvg on the clients' own responses; its parameters [P]."""
        return self._federation.train_router(
            network, loss, rounds=rounds, steps=steps, batch_size=batch_size, lr=lr
        )

    def scorers(self, sources: Sequence[RewardSource]) -> list[RewardScorer]:
        """Look up what scores for ``sources``, for the channel; an error for one that the view never gave."""
        strange = [source for source in sources if source not in self._scorers]
        if strange:
            raise FedbenchError(
                f"{type(self._fuser).__name__} names a reward source that there is not: {strange[0]}",
                fix="return sources that the federation gave",
            )
        return [self._scorers[source] for source in sources]

    def _named(self, scorer: RewardScorer, *, calibrated: bool = True) -> RewardSource:
        source = RewardSource(scorer.name, scorer.client, calibrated)
        self._scorers[source] = scorer
        return source
