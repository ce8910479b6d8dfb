"""Preparing a scenario of the preference track: load, check, assemble."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from fedbench.api.scenario import Scenario
from fedbench.api.specs import FormSpec
from fedbench.data.items import Preference, PreferenceData
from fedbench.errors import UsageError
from fedbench.evaluation.evaluator import Evaluator
from fedbench.models.backbone import Backbone
from fedbench.models.language import LanguageModel
from fedbench.models.policy import Policy
from fedbench.models.rewards import make_reward
from fedbench.preference.audit import Comparisons
from fedbench.preference.bench import PreferenceBench
from fedbench.preference.responses import BackboneView, TokenizedResponses
from fedbench.preference.reward_models import GoldAnswerReward, RewardTask
from fedbench.registry import Registry
from fedbench.resolution import ResolvedScenario
from fedbench.runs.inputs import Inputs
from fedbench.runs.loading import Loaded, encoded, load

ANSWERED = {"prediction", "references", "parsed"}
"""Columns of a form by which a policy is measured, and compared with the policy at the start."""


def prepare(inputs: Inputs, device: torch.device, say: Callable[[str], None]) -> PreferenceBench:
    """Make the bench of a scenario; encode its images if the cache has not got their features."""
    check(inputs)
    loaded = load(inputs, device, say)
    scenario, data = loaded.scenario, loaded.data
    assert isinstance(data, PreferenceData)
    view = BackboneView(LanguageModel(loaded.backbone), loaded.features)
    chosen, rejected = _sides(data.pairs, view)
    return PreferenceBench(
        scenario=scenario,
        loaded=loaded,
        data=data,
        reference=_frozen_policy(loaded),
        view=view,
        chosen=chosen,
        rejected=rejected,
        tasks=_reward_tasks(inputs.resolved, loaded, chosen=chosen, rejected=rejected, say=say),
        shards=loaded.partition.shards(data),
        comparisons=_comparisons(loaded, data, view),
        gold=_gold(data),
        evaluator=_evaluator(scenario, loaded),
        say=say,
    )


def check(inputs: Inputs) -> None:
    """Refuse a scenario whose data has no preferences or whose backbone can't be a policy."""
    scenario, data, backbone = inputs.resolved.scenario, inputs.data, inputs.backbone
    if not isinstance(data, PreferenceData):
        raise UsageError(f"scenario {scenario.name!r}: data {data.name!r} has no preferences to learn")
    if backbone.projector is None:
        raise UsageError(
            f"scenario {scenario.name!r}: backbone {backbone.name!r} can't be a policy",
            why="it has no projector, so it does not see",
            fix="name a whole vision-language model",
        )
    check_preferences(scenario, data)
    check_suites(scenario, data, inputs.resolved.forms)


def check_preferences(scenario: Scenario, data: PreferenceData) -> None:
    """Refuse data that can't be learned from: empty and tied pairs, no queries."""
    where = f"scenario {scenario.name!r}: data {data.name!r}"
    for number, pair in enumerate((*data.pairs, *data.comparisons)):
        if not pair.chosen.strip() or not pair.rejected.strip():
            raise UsageError(f"{where}: preference {number} has an empty answer", why=repr(pair.prompt))
        if pair.chosen.strip() == pair.rejected.strip():
            raise UsageError(
                f"{where}: preference {number} is a tie", why=f"both answers are {pair.chosen!r}"
            )
    if not data.queries or not data.comparisons:
        raise UsageError(f"{where} has no public {'comparisons' if data.queries else 'queries'}")


def check_suites(scenario: Scenario, data: PreferenceData, forms: Registry[FormSpec]) -> None:
    """Refuse suites whose form tells of no generated answers."""
    spec = scenario.evaluation
    for key in (*spec.each_round, *spec.final):
        form = data.suites[key].form
        if not set(forms[form].spec.columns) >= ANSWERED:
            raise UsageError(
                f"scenario {scenario.name!r}: data {data.name!r}: suite {key!r} is of form {form!r}",
                why="a policy is measured by what it generates",
                fix=f"take a form with the columns {', '.join(sorted(ANSWERED))}",
            )


def _frozen_policy(loaded: Loaded) -> Policy:
    """A policy at the start that nobody trains."""
    return Policy.of(loaded.backbone, loaded.features).requires_grad_(False)


def _sides(
    preferences: Sequence[Preference], view: BackboneView
) -> tuple[TokenizedResponses, TokenizedResponses]:
    """Chosen and rejected answers of preferences, as a backbone reads them."""
    images, prompts = [p.image for p in preferences], [p.prompt for p in preferences]
    return (
        view.tokenized(images, prompts, [p.chosen for p in preferences]),
        view.tokenized(images, prompts, [p.rejected for p in preferences]),
    )


def _comparisons(loaded: Loaded, data: PreferenceData, view: BackboneView) -> Comparisons:
    """The server's public preferences, each with the client whose image it is about."""
    units = data.units.tolist()
    owners = [loaded.partition.client_of(units[pair.image]) for pair in data.comparisons]
    better, worse = _sides(data.comparisons, view)
    return Comparisons(
        better=better,
        worse=worse,
        owners=np.array([-1 if owner is None else owner for owner in owners]),
    )


def _gold(data: PreferenceData) -> GoldAnswerReward:
    """The right answers to the server's queries and comparisons."""
    right = {(query.image, query.prompt): query.accepted for query in data.queries}
    return GoldAnswerReward(right | {(pair.image, pair.prompt): (pair.chosen,) for pair in data.comparisons})


def _evaluator(scenario: Scenario, loaded: Loaded) -> Evaluator:
    """An evaluator with a policy of its own, into which it loads the parameters that it measures."""
    policy = _frozen_policy(loaded)

    @torch.no_grad()
    def project(params: Tensor, images: Sequence[int]) -> Tensor:
        policy.load(params)
        return policy.visual(torch.tensor(images, device=loaded.features.device))

    return Evaluator(
        llm=policy.llm,
        project=project,
        suites=loaded.data.suites,
        metrics=loaded.metrics,
        forms=loaded.forms,
        units=loaded.data.units.tolist(),
        partition=loaded.partition,
        limit=scenario.policy.max_tokens if scenario.policy else 0,
    )


def _reward_tasks(
    resolved: ResolvedScenario,
    loaded: Loaded,
    *,
    chosen: TokenizedResponses,
    rejected: TokenizedResponses,
    say: Callable[[str], None],
) -> list[RewardTask]:
    """Client k's task, without label noise; clients with the same kind of reward model share one."""
    scenario = loaded.scenario
    assert scenario.rewards and isinstance(loaded.data, PreferenceData)
    kinds, clients = scenario.rewards.models, scenario.federation.clients
    sign = torch.ones(len(chosen), device=chosen.ids.device)
    tasks: dict[str, RewardTask] = {}
    for spec in kinds:
        if (kind := spec.model_dump_json()) in tasks:
            continue
        view, sides = None, (chosen, rejected)
        if spec.backbone is not None:
            part = resolved.reward_backbone(spec.backbone)
            backbone: Backbone = part.make()
            part.check_pin(backbone.fingerprint)
            backbone.freeze(sign.device)
            features = encoded(
                backbone,
                loaded.data,
                loaded.content.images,
                owners=(part, resolved.data),
                device=sign.device,
                say=say,
            )
            view = BackboneView(LanguageModel(backbone), features)
            sides = _sides(loaded.data.pairs, view)
        width, hidden = sides[0].features.shape[-1], scenario.training.hidden
        model = make_reward(spec.architecture, sides[0].llm, width, hidden)
        tasks[kind] = RewardTask(model=model, chosen=sides[0], rejected=sides[1], sign=sign, view=view)
    return [tasks[kinds[client % len(kinds)].model_dump_json()] for client in range(clients)]
