"""What travels is declared, billed and all that the other side can read; the rest stays with the client."""

from dataclasses import fields, replace
from itertools import pairwise

import pytest
import torch

from fedbench import Aggregator, LocalRule, ParamSpace, Traffic
from fedbench.api.scenario import Faults
from fedbench.errors import UsageError
from fedbench.federation.cohort_sums import CohortSums
from fedbench.federation.division import Division
from fedbench.testing import ToyTask, toy_rounds, toy_setup
from fedbench.testing.contracts import example_cohort, installed, make

SPACE = ToyTask().space
UP = [name for name in SPACE.shapes if name.startswith("up.")]
SIZES = {name: end - start for name, (start, end) in SPACE.spans.items()}
SHARED = sum(SIZES[name] for name in UP)


class Mean(Aggregator):
    """FedAvg that shows the last cohort it was given."""

    def aggregate(self, state, cohort):
        Mean.given = cohort
        return {"params": cohort.mean("params")}


class OwnHead(Mean):
    """The last layer stays with its client."""

    def traffic(self, space):
        return Traffic(params=UP)


def test_only_the_declared_parameters_reach_the_server_and_are_billed():
    rounds = toy_rounds(OwnHead(), clients=3)
    assert OwnHead.given.params.shape == (3, SHARED) and set(OwnHead.given.space.shapes) == set(UP)
    assert rounds[-1].after.state["params"].shape == (SHARED,)
    for done in rounds:
        assert done.costs.uplink_bytes == done.costs.downlink_bytes == 3 * 4 * SHARED


def test_each_client_has_a_model_of_its_own_where_parameters_stay():
    setup, rounds = toy_setup(OwnHead(), clients=3), toy_rounds(OwnHead(), clients=3)
    models = setup.models(rounds[-1].after)
    assert models.shape == (3, SPACE.size)
    for name, values in SPACE.views(models).items():
        alike = torch.equal(values[0], values[1])
        assert alike == (name in UP), name


def test_what_stays_is_trained_with_the_rest_and_kept_until_the_client_takes_part_again():
    rounds = toy_rounds(OwnHead(), clients=5, cohort=2, rounds=6)
    for before, now in pairwise(rounds):
        for client in range(5):
            heads = [at.after.client_state["params"][client] for at in (before, now)]
            assert torch.equal(*heads) != (client in now.cohort)


def test_a_client_whose_update_is_lost_keeps_its_parameters():
    rounds = toy_rounds(OwnHead(), clients=4, faults=Faults(straggling=0.5), rounds=6, seed=2)
    late = [(before, now) for before, now in pairwise(rounds) if "late" in now.left_out.values()]
    assert late
    for before, now in late:
        for client in now.left_out:
            heads = [at.after.client_state["params"][client] for at in (before, now)]
            assert torch.equal(*heads)


def test_the_division_is_exact_whatever_travels():
    params = torch.randn(4, SPACE.size)
    for names in (None, [], UP, [*SPACE.shapes][::-1], ["down.bias"]):
        division = Division(SPACE, names)
        sent, kept = division.sent(params), division.kept(params)
        assert sent.shape[1] == division.travelling.size and sent.shape[1] + kept.shape[1] == SPACE.size
        assert torch.equal(division.joined(sent, kept), params)


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are():
    class Wrong(Mean):
        def traffic(self, space):
            return Traffic(params=["head.weight"])

    with pytest.raises(UsageError, match=r"there are not: head\.weight: the trained ones are up\.weight"):
        toy_rounds(Wrong())


def test_nothing_that_a_client_keeps_is_in_a_cohort():
    class Keeping(Mean):
        def initial_client_state(self, params):
            return {"secret": params}

        def local_rule(self, clients):
            return LocalRule(client_state={"secret": lambda local: local.params})

    rounds = toy_rounds(Keeping())
    names = {"round", "clients", "params", "start", "num_examples", "steps", "space", "stream", "sent"} | {
        "ranks"
    }
    assert {field.name for field in fields(Keeping.given)} == names and not Keeping.given.sent
    assert rounds[-1].costs == replace(
        toy_rounds(Mean())[-1].costs,
        client_seconds=rounds[-1].costs.client_seconds,
        server_seconds=rounds[-1].costs.server_seconds,
    )


class Sending(Mean):
    """Each client sends its update's norm and a matrix."""

    up = {"norm": (), "matrix": (2, 3)}  # noqa: RUF012

    def traffic(self, space):
        return Traffic(up=self.up)

    def local_rule(self, clients):
        return LocalRule(
            sends={
                "norm": lambda local: (local.params - local.start).norm(dim=1),
                "matrix": lambda local: local.mean_gradient[:, :6].unflatten(1, (2, 3)),
            }
        )


def test_what_is_sent_beside_parameters_arrives_and_is_billed_by_its_numbers():
    rounds = toy_rounds(Sending(), clients=3)
    given = Sending.given
    torch.testing.assert_close(given.sent["norm"], given.updates.norm(dim=1))
    assert given.sent["matrix"].shape == (3, 2, 3)
    assert given.mean("matrix").shape == (2, 3) and given.sum("norm").shape == ()
    assert rounds[0].costs.uplink_bytes == 3 * 4 * (SPACE.size + 1 + 6)
    assert rounds[0].costs.downlink_bytes == 3 * 4 * SPACE.size


@pytest.mark.parametrize("up", [{}, {"norm": ()}, {"norm": (), "matrix": (6,)}, {**Sending.up, "more": ()}])
def test_sending_anything_else_than_declared_is_an_error(up):
    method = Sending()
    method.up = up
    with pytest.raises(ValueError, match=r"its clients send .*, but it declares"):
        toy_rounds(method)


class Receiving(Mean):
    """Each client is sent how many rounds there were, and asks for it."""

    down = {"count": ()}  # noqa: RUF012

    def traffic(self, space):
        return Traffic(down=self.down)

    def initial_state(self, params, context):
        return {"params": params, "count": torch.tensor(0.0), "secret": params}

    def local_rule(self, clients):
        Receiving.seen = dict(clients.received)
        return LocalRule()

    def aggregate(self, state, cohort):
        return {**state, **super().aggregate(state, cohort), "count": state["count"] + 1}


def test_clients_receive_the_declared_tensors_of_the_server_and_no_others():
    rounds = toy_rounds(Receiving(), clients=3, rounds=3)
    assert set(Receiving.seen) == {"count"} and float(Receiving.seen["count"]) == 2
    assert rounds[0].costs.downlink_bytes == 3 * 4 * (SPACE.size + 1)


def test_a_tensor_of_another_shape_than_declared_is_not_sent():
    method = Receiving()
    method.down = {"count": (2,)}
    with pytest.raises(ValueError, match="sends down has another shape than it declares: count"):
        toy_rounds(method)


@pytest.mark.parametrize(
    ("method", "options", "up", "down"),
    [
        ("fedavg", {}, 0, 0),
        ("moon", {}, 0, 0),
        ("scaffold", {}, SPACE.size, SPACE.size),
        ("fed-cmp", {}, 1, 0),
        ("fed-cmp", {"rwf": False}, 0, 0),
    ],
)
def test_bytes_are_the_parameters_and_what_a_method_declares_beside_them(method, options, up, down):
    (done,) = toy_rounds(make(method, options), clients=3, rounds=1)
    assert done.costs.uplink_bytes == 3 * 4 * (SPACE.size + up)
    assert done.costs.downlink_bytes == 3 * 4 * (SPACE.size + down)


def test_nothing_befalls_what_does_not_travel():
    struck = toy_rounds(make("local"), faults=Faults(dropout=1.0, byzantine=0.4, attack="sign-flip"))
    assert [r.digest for r in struck] == [r.digest for r in toy_rounds(make("local"))]


# --- needs -----------------------------------------------------------------------------------------


def test_a_method_that_needs_sums_is_shown_nothing_else():
    class Sum(Mean):
        needs = "sum"

    rounds = toy_rounds(Sum())
    assert isinstance(Sum.given, CohortSums)
    for name in ("params", "updates", "start", "sent", "num_examples", "weights", "steps"):
        assert not hasattr(Sum.given, name)
    assert [r.digest for r in rounds] == [r.digest for r in toy_rounds(Mean())]


def test_sums_are_those_of_the_cohort():
    cohort = replace(example_cohort(traffic=Traffic(up={"d": ()})), steps=torch.tensor([1, 2, 3, 4]))
    sums = CohortSums.of(cohort)
    assert torch.equal(sums.mean("params"), cohort.weights @ cohort.params)
    assert torch.equal(sums.mean("updates"), cohort.weights @ cohort.updates)
    assert torch.equal(sums.sum("updates"), cohort.updates.sum(0))
    per_step = (cohort.updates / cohort.steps[:, None] * cohort.weights[:, None]).sum(0)
    torch.testing.assert_close(sums.mean("updates", per_step=True), per_step)
    torch.testing.assert_close(sums.mean("steps"), (cohort.weights * cohort.steps).sum())
    torch.testing.assert_close(sums.mean("d"), (cohort.weights * cohort.sent["d"]).sum())


LORA = {"flora", "fedex-lora", "flexlora", "hetlora"}
NEED_UPDATES = LORA | {"fedavg-ties", "fedavg-dare", "median", "trimmed-mean", "krum", "multikrum", "fed-cmp"}


def test_whoever_can_do_with_sums_says_so():
    methods = [entry.name for entry in installed().methods.entries if entry.spec.track == "alignment"]
    assert {name for name in methods if make(name).needs == "updates"} == NEED_UPDATES


def test_numbers_by_name():
    space = ParamSpace({"a": (2, 3), "b": (4,), "c": ()})
    traffic = Traffic(params=["a", "c"], down={"control": (10,)}, up={"gap": ()})
    assert traffic.numbers_down(space) == {"params": 7, "control": 10}
    assert traffic.numbers_up(space) == {"params": 7, "gap": 1}
    assert Traffic(params=()).numbers_up(space) == {}
