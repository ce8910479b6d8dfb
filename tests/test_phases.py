"""Several phases of local training, each with its own start, rule and share; and one after the last round."""

import numpy as np
import pytest
import torch

from fedbench import Aggregator, LocalRule, Phase
from fedbench.api.scenario import Budget, Faults, Training
from fedbench.federation.executors import Executor
from fedbench.federation.loop import federate
from fedbench.federation.plan import in_phases, plan
from fedbench.federation.schedule import phase_spans
from fedbench.testing import ToyTask, toy_rounds, toy_setup
from fedbench.testing.contracts import make
from fedbench.testing.toy import TRAINING

SPACE = ToyTask().space
UP = [name for name in SPACE.shapes if name.startswith("up.")]
DOWN = [name for name in SPACE.shapes if name.startswith("down.")]


class InPhases(Aggregator):
    """FedAvg whose clients train in the given phases."""

    needs = "sum"

    def __init__(self, *phases, **attributes):
        self.parts = phases
        self.__dict__.update(attributes)

    def phases(self, space):
        return self.parts

    def initial_client_state(self, params):
        return {"copy": params}

    def aggregate(self, state, cohort):
        return {"params": cohort.mean("params")}


def digests(rounds):
    return [done.digest for done in rounds]


def params(rounds):
    return rounds[-1].after.state["params"]


def only(*names):
    return lambda clients: LocalRule(trains=names)


def test_one_plain_phase_is_the_default():
    assert digests(toy_rounds(InPhases(Phase()))) == digests(toy_rounds(make("fedavg")))


@pytest.mark.parametrize(
    ("examples", "shares", "spans"),
    [
        (40, [1.0], [(0, 40)]),
        (38, [0.5, 0.5], [(0, 20), (20, 38)]),
        (38, [1.0, 1.0], [(0, 38), (38, 76)]),
        (38, [0.2, 0.3, 0.5], [(0, 8), (8, 20), (20, 38)]),
        (38, [0.0, 1.0], [(0, 0), (0, 38)]),
        (3, [0.5, 0.5], [(0, 0), (0, 3)]),
        (38, [2.5], [(0, 96)]),
        (0, [0.5, 0.5], [(0, 0), (0, 0)]),
        (38, [], []),
    ],
)
def test_phases_take_whole_batches_one_after_another(examples, shares, spans):
    assert phase_spans(examples, 4, shares) == spans


def test_a_phase_goes_on_with_the_model_and_the_examples_of_the_one_before_it():
    """At a constant rate, with plain SGD, a round cut in two is the round."""
    cut = toy_rounds(InPhases(Phase(share=0.5), Phase(share=0.5)))
    assert digests(cut) == digests(toy_rounds(make("fedavg")))
    assert [r.costs for r in cut][-1].client_examples == toy_rounds(make("fedavg"))[-1].costs.client_examples
    torch.testing.assert_close(cut[-1].loss, toy_rounds(make("fedavg"))[-1].loss)


def test_a_phase_of_the_whole_round_goes_through_its_examples_again_and_they_count_again():
    twice, once = toy_rounds(InPhases(Phase(), Phase())), toy_rounds(make("fedavg"))
    assert twice[0].costs.client_examples == 2 * once[0].costs.client_examples
    assert twice[0].costs.uplink_bytes == once[0].costs.uplink_bytes
    assert twice[0].loss < once[0].loss


def test_each_phase_has_a_schedule_of_its_own_steps():
    training = Training(batch_size=4, lr=0.1, schedule="cosine")
    method = InPhases(Phase(share=0.5), Phase(share=0.5), Phase())
    shards = (np.arange(32),)
    setup = toy_setup(method, shards=shards, rounds=2, training=training)
    parts = in_phases(setup, plan(setup, [0], 2), setup.phases, 2)
    assert [(part.work[0].first_step, part.work[0].schedule_steps) for part in parts] == [
        (0, 2), (0, 2), (0, 4),
    ]  # fmt: skip
    spanning = training.model_copy(update={"one_schedule": True})
    setup = toy_setup(method, shards=shards, rounds=2, training=spanning)
    parts = in_phases(setup, plan(setup, [0], 2), setup.phases, 2)
    assert [(part.work[0].first_step, part.work[0].schedule_steps) for part in parts] == [
        (2, 4), (2, 4), (4, 8),
    ]  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_rule_may_train_some_tensors_and_the_others_do_not_move(optimizer):
    training = TRAINING.model_copy(update={"optimizer": optimizer, "weight_decay": 0.1, "grad_norm": 1.0})
    rounds = toy_rounds(InPhases(Phase(rule=only(*DOWN))), training=training)
    start, end = SPACE.views(ToyTask().init()), SPACE.views(params(rounds))
    for name in SPACE.shapes:
        assert torch.allclose(start[name], end[name], rtol=0, atol=1e-7) == (name in UP), name


def test_a_name_that_there_is_not_is_an_error_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"no such parameters: head; there are up\.weight"):
        toy_rounds(InPhases(Phase(rule=only("head"))))


def test_a_copy_is_trained_beside_the_model_and_kept():
    rounds = toy_rounds(InPhases(Phase(), Phase(copy="copy")), rounds=3)
    assert torch.equal(params(rounds), params(toy_rounds(make("fedavg"))))
    alone = toy_rounds(make("local"), rounds=3)[-1].after.client_state["params"]
    assert torch.equal(rounds[-1].after.client_state["copy"], alone), "a copy is trained as a local model is"


def test_a_copy_is_evaluated_where_the_method_says_so():
    method = InPhases(Phase(), Phase(copy="copy"), own_model="copy")
    rounds = toy_rounds(method)
    assert torch.equal(toy_setup(method).models(rounds[-1].after), rounds[-1].after.client_state["copy"])
    assert digests(rounds) == digests(toy_rounds(make("local")))


def test_the_anchor_of_every_phase_is_what_was_broadcast():
    seen = []

    def rule(clients):
        seen.append(clients.start)
        return LocalRule(gradient=lambda grads, params, anchor: seen.append(anchor) or grads)

    rounds = toy_rounds(InPhases(Phase(), Phase(copy="copy", rule=rule)), shards=[np.arange(8)], rounds=2)
    second = [anchor[0] for anchor in seen[len(seen) // 2 :]]
    assert all(torch.equal(anchor, params(rounds[:1])) for anchor in second)


def test_an_unknown_copy_is_an_error_that_names_it():
    for method in (InPhases(Phase(copy="own")), InPhases(Phase(), own_model="own")):
        with pytest.raises(ValueError, match="clients keep no vectors called own"):
            toy_rounds(method)


@pytest.mark.parametrize("share", [-0.1, 1e9])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="a phase's share is"):
        Phase(share=share)


def test_steps_are_those_of_the_model():
    class Steps(InPhases):
        needs = "updates"

        def aggregate(self, state, cohort):
            Steps.given = cohort.steps.tolist()
            return super().aggregate(state, cohort)

    shards = [np.arange(16), np.arange(20, 44)]
    toy_rounds(Steps(Phase(), Phase(copy="copy"), Phase(share=0.5)), shards=shards, rounds=1)
    assert Steps.given == [4 + 2, 6 + 3]


# --- after the last round --------------------------------------------------------------------------

AT_END = Phase(at_end=True)


def test_after_the_last_round_every_client_goes_on_with_the_model():
    method, shards = InPhases(Phase(), AT_END), ToyTask().shards(4)
    fedavg = toy_rounds(make("fedavg"), shards=shards, cohort=2)
    rounds = toy_rounds(method, shards=shards, cohort=2)
    assert torch.equal(params(rounds), params(fedavg))
    setup = toy_setup(method, shards=shards, cohort=2)
    before, after = (setup.models(done.after) for done in rounds[-2:])
    assert torch.equal(before, before[:1].expand(4, -1)), "all have the global model until then"
    assert len({row.sum().item() for row in after}) == 4, "also those who were not called in the last round"
    assert rounds[-1].costs.client_examples == fedavg[-1].costs.client_examples + 60
    assert rounds[-1].costs.uplink_bytes == fedavg[-1].costs.uplink_bytes
    assert rounds[-1].costs.downlink_bytes == fedavg[-1].costs.downlink_bytes
    assert rounds[-1].after.spent.client_examples == sum(r.costs.client_examples for r in rounds)


def test_a_run_that_a_budget_ends_is_finished_within_it():
    method = InPhases(Phase(), AT_END)
    for limit, rounds, seen in ((120, 3, 60), (119, 2, 42), (101, 1, 21), (80, 0, 0)):
        setup = toy_setup(method, shards=ToyTask().shards(3), budget=Budget(examples=limit))
        done = list(federate(setup, Executor("serial", 1), setup.initial(ToyTask().init())))
        assert len(done) == rounds, limit
        assert not done or done[-1].after.spent.client_examples == seen + 60 <= limit
        assert not done or "finished" in done[-1].after.client_state


def test_a_finished_run_that_is_taken_up_again_has_nothing_left_to_do():
    method = InPhases(Phase(), AT_END)
    last = toy_rounds(method)[-1].after
    assert toy_rounds(method, resume=last) == []


def test_no_fault_befalls_what_a_client_does_by_itself():
    method = InPhases(Phase(), AT_END)
    rounds = toy_rounds(method, faults=Faults(dropout=1.0), rounds=2)
    assert torch.equal(params(rounds), ToyTask().init())
    models = toy_setup(method).models(rounds[-1].after)
    assert not torch.equal(models[0], models[1]) and models.isfinite().all()


def test_a_client_whose_own_training_diverges_keeps_the_last_model():
    class Broken(ToyTask):
        def loss(self, params, index):
            nan = (index >= 40).any(1) & (params.detach().sum(1) != self.init().sum())
            return super().loss(params, index) * torch.where(nan, torch.nan, 1.0)

    method, task = InPhases(Phase(share=0.0), Phase(at_end=True, share=2.0)), Broken()
    setup = toy_setup(method, task=task, shards=task.shards(3), rounds=1)
    after = toy_rounds(method, task=task, shards=task.shards(3), rounds=1)[-1].after
    models, shared = setup.models(after), after.state["params"]
    assert torch.equal(models[2], shared) and not torch.equal(models[0], shared)
