"""The engine: streams, sampling, optimisers, the client axis, faults, budgets, checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fedbench.api.aggregator import Aggregator
from fedbench.api.local_rule import LocalRule
from fedbench.api.metrics import Costs
from fedbench.api.scenario import Budget, Training
from fedbench.errors import UsageError
from fedbench.federation import checkpoint
from fedbench.federation.executors import Executor, no_rule
from fedbench.federation.local import LocalWork, minibatches, train_clients
from fedbench.federation.loop import federate
from fedbench.federation.optim import LocalOptimizer, clip_per_client, rate
from fedbench.federation.plan import plan
from fedbench.federation.round_log import RoundLog
from fedbench.federation.run_state import RunState
from fedbench.federation.schedule import cohort, one_pass_part
from fedbench.params import ParamSpace, digest
from fedbench.rng import derive
from fedbench.testing import ToyTask, toy_rounds, toy_setup
from fedbench.testing.contracts import make

FEDAVG = make("fedavg")
ADAM = Training(batch_size=4, lr=1e-2, schedule="cosine", warmup=0.03)


def test_streams_differ_by_name_and_seed():
    assert derive(0, "cohort", 1) == derive(0, "cohort", 1)
    seeds = {derive(0, "a", 1), derive(0, "a", 2), derive(1, "a", 1), derive(0, "a1"), derive(0, "a", "1")}
    assert len(seeds) == 5


def test_param_space_round_trip_and_digest():
    space = ParamSpace({"w": (3, 2), "b": (3,)})
    flat = torch.randn(4, space.size)
    assert torch.equal(space.flatten(space.views(flat)), flat)
    space.views(flat)["b"].zero_()
    assert (flat[:, 6:] == 0).all(), "views share memory"
    assert digest(flat) == digest(flat.clone()) != digest(flat + 1)
    with pytest.raises(ValueError, match="expected tensors"):
        space.flatten({"w": torch.zeros(3, 2)})


def test_cohorts_depend_on_seed_and_round_and_not_on_the_method():
    rounds = [cohort(0, r, 20, 5) for r in range(1, 30)]
    assert all(len(set(c)) == 5 and c == tuple(sorted(c)) for c in rounds)
    assert len(set(rounds)) > 20
    assert rounds != [cohort(1, r, 20, 5) for r in range(1, 30)]
    assert cohort(0, 1, 5, None) == (0, 1, 2, 3, 4)
    seen = [toy_rounds(make(m), clients=5, cohort=2, rounds=4) for m in ("fedavg", "fed-cmp")]
    assert [r.cohort for r in seen[0]] == [r.cohort for r in seen[1]]


def test_one_pass_uses_every_example_exactly_once():
    shard = np.arange(100, 147)
    parts = [one_pass_part(shard, seed=0, client=2, parts=10, number=number) for number in range(10)]
    assert sorted(np.concatenate(parts)) == shard.tolist()
    batches = minibatches([parts[0], parts[9][:2]], batch_size=3)
    assert batches.shape == (2, 2, 3)
    assert batches[0, 1].tolist() == [*parts[9][:2], -1]
    assert (batches[1, 1] == -1).all()


def test_adamw_is_torchs():
    training = Training(batch_size=1, lr=0.01, weight_decay=0.1, schedule="constant")
    params = torch.randn(2, 9, dtype=torch.float64)
    reference = params.clone().requires_grad_()
    theirs = torch.optim.AdamW([reference], lr=0.01, weight_decay=0.1)
    ours = LocalOptimizer(training, params)
    for _ in range(5):
        grads = torch.randn_like(params)
        reference.grad = grads.clone()
        theirs.step()
        params = ours.step(params, grads, torch.full((2, 1), 0.01, dtype=torch.float64))
    torch.testing.assert_close(params, reference.detach(), rtol=0, atol=1e-12)


def test_clipping_is_per_client():
    grads = torch.stack([torch.full((4,), 10.0), torch.full((4,), 0.01)])
    clipped = clip_per_client(grads, 1.0)
    assert clipped[0].norm() == pytest.approx(1.0)
    assert torch.equal(clipped[1], grads[1])


def test_rate_warms_up_then_falls_to_zero():
    rates = [rate(ADAM, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(ADAM.lr / 3)
    assert max(rates) == rates[2] == rates[3] == ADAM.lr
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] < 1e-3 * ADAM.lr
    assert rate(ADAM, 0, 1) == ADAM.lr


@pytest.mark.parametrize("training", [ADAM, ADAM.model_copy(update={"optimizer": "sgd"})])
def test_clients_together_train_as_they_would_alone(training):
    """Unequal clients: one has a partial batch, one ends two steps early."""
    task = ToyTask(dtype=torch.float64)
    work = [
        LocalWork(0, np.arange(0, 16), 0, 4),
        LocalWork(1, np.arange(16, 23), 0, 2),
        LocalWork(2, np.arange(30, 39), 0, 3),
    ]
    start = task.init().repeat(3, 1)
    rule = LocalRule(reports={"gap": lambda s: (s.visual.mean(2) - s.text).norm(dim=-1)})
    together = train_clients(task, start, work, rule, training)
    for row, item in enumerate(work):
        alone = train_clients(task, start[:1], [item], rule, training)
        torch.testing.assert_close(together.params[row], alone.params[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(together.loss[row], alone.loss[0])
        torch.testing.assert_close(together.sent["gap"][row], alone.sent["gap"][0])


def test_method_loss_is_added_to_the_clients_loss():
    task = ToyTask(dtype=torch.float64)
    pull = LocalRule(loss=lambda signals: 3 * signals.visual.square().mean((1, 2, 3)))
    work = plan(toy_setup(FEDAVG, shards=task.shards(2), rounds=1, training=ADAM), range(2), 1)
    start = task.init().repeat(2, 1)
    plain, pulled = (train_clients(task, start, work, rule, ADAM) for rule in (LocalRule(), pull))
    norms = [task.signals(t.params, torch.arange(40).view(2, 20)).visual.norm() for t in (plain, pulled)]
    assert norms[1] < 0.9 * norms[0]


def test_one_schedule_spans_the_run():
    shards = ToyTask().shards(1)
    spanning = ADAM.model_copy(update={"one_schedule": True})
    restarts, once = (
        [plan(toy_setup(FEDAVG, shards=shards, training=training), [0], r)[0] for r in (1, 3)]
        for training in (ADAM, spanning)
    )
    assert [w.first_step for w in restarts] == [0, 0]
    assert [w.first_step for w in once] == [0, 10]
    assert {w.schedule_steps for w in once} == {15}


class Poisoned(ToyTask):
    """Clients that meet an example from ``bad`` on get a loss that is not a number."""

    bad = 40

    def loss(self, params, index):
        return super().loss(params, index) * torch.where((index >= self.bad).any(1), torch.nan, 1.0)


def test_non_finite_updates_are_left_out_and_recorded():
    task = Poisoned()
    rounds = toy_rounds(make("fedavg"), task=task, shards=task.shards(3), rounds=2)
    assert [r.left_out for r in rounds] == [{2: "not finite"}] * 2
    assert rounds[-1].after.state["params"].isfinite().all()
    healthy = toy_rounds(make("fedavg"), shards=task.shards(3)[:2], rounds=2)
    assert rounds[-1].digest == healthy[-1].digest, "the others are merged as if it had not been there"


def test_a_round_with_nobody_left_keeps_the_model():
    task = Poisoned()
    task.__dict__["bad"] = 0
    rounds = toy_rounds(make("fedavg"), task=task, shards=task.shards(2), rounds=2)
    assert torch.equal(rounds[-1].after.state["params"], task.init())
    assert all(len(r.left_out) == 2 and r.loss is None for r in rounds)


def test_a_client_without_examples_is_left_out():
    task = ToyTask()
    shards = (np.arange(10), np.array([50]))
    rounds = toy_rounds(make("fedavg"), task=task, shards=shards, rounds=2)
    assert [r.left_out for r in rounds] == [{}, {1: "no examples"}]


def test_a_budget_stops_before_it_is_exceeded():
    task, shards = ToyTask(), ToyTask().shards(3)

    def rounds(budget):
        setup = toy_setup(FEDAVG, shards=shards, rounds=6, training=ADAM, budget=budget)
        return list(federate(setup, Executor("serial", 1), setup.initial(task.init())))

    assert len(rounds(Budget())) == 6
    assert sum(r.costs.client_examples for r in rounds(Budget(examples=35))) == 12 + 12 + 9
    assert len(rounds(Budget(uplink_bytes=2 * 3 * 4 * task.space.size))) == 2


def test_out_of_memory_halves_the_chunk_and_goes_on():
    class Small(ToyTask):
        def loss(self, params, index):
            if len(params) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
            return super().loss(params, index)

    task = Small()
    work = plan(toy_setup(FEDAVG, shards=task.shards(5), rounds=1, training=ADAM), range(5), 1)
    executor = Executor("batched", 5)
    trained = executor.train(task, task.init().repeat(5, 1), work, no_rule, ADAM)
    assert executor.chunk == 2
    wanted = Executor("serial", 1).train(ToyTask(), task.init().repeat(5, 1), work, no_rule, ADAM)
    torch.testing.assert_close(trained.params, wanted.params, rtol=0, atol=1e-6)


def test_aggregate_is_the_only_thing_a_method_must_define():
    with pytest.raises(NotImplementedError):
        toy_rounds(Aggregator())


def load(folder, warn=print, run_id="run"):
    log = folder / "rounds.jsonl"
    log.touch()
    try:
        return checkpoint.load(folder, run_id, log=log, device=torch.device("cpu"), warn=warn)
    finally:
        log.unlink()


def save_rounds(folder, count):
    for number in range(1, count + 1):
        state = {"params": torch.full((3,), float(number)), "m:w": torch.ones(2, dtype=torch.float64)}
        at = RunState(
            round=number,
            state=state,
            client_state={"c": torch.full((2, 3), 7.0)},
            late={"client": torch.tensor([4]), "sent/d": torch.ones(1)},
            spent=Costs(uplink_bytes=5, client_seconds=0.1),
        )
        checkpoint.save(folder, saved(at))


NO_LOG = RoundLog(Path("no", "rounds.jsonl")).mark


def saved(state):
    return checkpoint.Checkpoint(
        run_id="run",
        state=state,
        log=NO_LOG,
        identity={},
        executor={"name": "serial", "chunk": 1},
        started="2026-01-01T00:00:00+00:00",
        seconds=2.0,
    )


def test_checkpoints_keep_two_and_fall_back(tmp_path):
    save_rounds(tmp_path, 4)
    newest, before = sorted(tmp_path.glob("*"), reverse=True)
    said = []
    at = load(tmp_path, said.append).state
    assert at.round == 4 and at.state["m:w"].dtype == torch.float64 and not said
    assert torch.equal(at.client_state["c"], torch.full((2, 3), 7.0)) and set(at.state) == {"params", "m:w"}
    assert at.late["client"].tolist() == [4] and set(at.late) == {"client", "sent/d"}
    assert at.spent == Costs(uplink_bytes=5, client_seconds=0.1)
    content = bytearray(newest.read_bytes())
    content[-3] ^= 1
    newest.write_bytes(content)
    assert load(tmp_path, said.append).state.round == 3
    assert len(said) == 1 and newest.name in said[0]
    before.write_bytes(before.read_bytes()[:100])
    with pytest.raises(UsageError, match="no checkpoint can be taken up"):
        load(tmp_path, said.append)
    checkpoint.discard(tmp_path)
    assert not tmp_path.exists()


def test_state_lies_in_memory_alike_whether_kept_or_read_back(tmp_path):
    """Views and names for one tensor are a method's right; how a product rounds depends on where it lies."""

    class Views(Aggregator):
        def aggregate(self, state, cohort):
            mean = cohort.weights @ cohort.params
            return {"params": mean, "same": mean, "row": cohort.params[1, 1:], "turned": cohort.params.T}

    (round,) = toy_rounds(Views(), rounds=1)
    kept = round.after.state
    checkpoint.save(tmp_path, saved(round.after))
    read = load(tmp_path).state.state
    assert set(read) == {"params", "same", "row", "turned"}
    for name, tensor in read.items():
        assert torch.equal(tensor, kept[name])
        for each in (tensor, kept[name]):
            assert each.is_contiguous() and each.storage_offset() == 0 and each.data_ptr() % 64 == 0
            assert each.untyped_storage().nbytes() == each.nbytes


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    save_rounds(tmp_path, 1)
    with pytest.raises(UsageError):
        load(tmp_path, run_id="another")
