"""Clients and examples that lack images or texts: who they are, what the LLM reads, what a record says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from records_of_ours import sealed
from torch.nn import functional as F

from fedbench.api.scenario import Modality, Training
from fedbench.catalog import Catalog
from fedbench.data import Pair
from fedbench.data.modality import NO_IMAGE, client_modalities, missing_parts
from fedbench.data.tokens import TokenTable
from fedbench.evaluation.packing import pack
from fedbench.evaluation.scoring import likelihoods
from fedbench.federation.executors import no_rule
from fedbench.federation.local import LocalWork, train_clients
from fedbench.jobs import plan_jobs
from fedbench.plugins import Plugins
from fedbench.results.columns import by_round
from fedbench.results.exports import rows
from fedbench.results.store import read_record
from fedbench.rng import torch_stream
from fedbench.runner import Runner, choose_device
from fedbench.runs.aggregation import AggregationRun
from fedbench.runs.protocol import ProgressCallbacks
from fedbench.testing.contracts import make
from fedbench.verification.ladder import verify

SHARDS = (np.arange(0, 40), np.arange(40, 100), np.arange(100, 1000))


def test_clients_are_drawn_as_often_as_they_are_counted_and_by_the_seed_of_the_section():
    modality = Modality(image_text=4, image_only=3, text_only=3)
    kinds = client_modalities(modality, 10)
    assert sorted(kinds) == ["image_only"] * 3 + ["image_text"] * 4 + ["text_only"] * 3
    assert client_modalities(modality, 10) == kinds
    others = {client_modalities(modality.model_copy(update={"seed": seed}), 10) for seed in range(8)}
    assert len(others) == 8


def test_a_client_lacks_all_images_or_all_texts():
    modality = Modality(image_text=1, image_only=1, text_only=1)
    lost = missing_parts(modality, SHARDS, 1000)
    for kind, shard, images, texts in zip(
        client_modalities(modality, 3), SHARDS, *lost.counted(SHARDS), strict=True
    ):
        assert images == (len(shard) if kind == "text_only" else 0)
        assert texts == (len(shard) if kind == "image_only" else 0)


def test_rates_are_of_examples_and_none_lacks_both():
    lost = missing_parts(Modality(missing_images=0.3, missing_texts=0.5), SHARDS, 1000)
    assert not (lost.images & lost.texts).any()
    assert abs(lost.images.sum() - 300) < 50 and abs(lost.texts.sum() - 500) < 50
    fewer = missing_parts(Modality(missing_images=0.1), SHARDS, 1000)
    assert fewer.images.any() and (fewer.images <= lost.images).all(), (
        "a higher rate takes more from the same"
    )
    everything = missing_parts(Modality(missing_texts=1.0), SHARDS, 1000)
    assert everything.texts.all() and not everything.images.any()


def test_copies_lose_what_their_originals_lose():
    pairs = [Pair(number, "what?", "x") for number in range(6)]
    lost = missing_parts(Modality(missing_images=0.4, missing_texts=0.4), [np.arange(6)], 6)
    taken = lost.taken([*pairs, *(replace(pair, answer="y") for pair in pairs)])
    assert [pair.answer for pair in taken] == ["x"] * 6 + ["y"] * 6
    for original, copy, image, text in zip(taken[:6], taken[6:], lost.images, lost.texts, strict=True):
        assert (original.image, original.prompt) == (copy.image, copy.prompt)
        assert (original.image == NO_IMAGE, original.prompt == "") == (image, text)
    assert lost.images.any() and lost.texts.any()


@pytest.fixture(scope="module")
def runner(tiny):
    return Runner(Catalog(Plugins(strict=True)), choose_device("cpu"), "serial")


QUICK = {
    "evaluation.each_round": ["unseen-concept/category"],
    "evaluation.final": ["unseen-concept/category"],
}
RATES = {"modality.missing_images": 0.3, "modality.missing_texts": 0.3}
COUNTS = {"modality.image_text": 2, "modality.image_only": 1}


@pytest.fixture(scope="module")
def run(runner, tmp_path_factory):
    """``path = run(method, **changes)``: the record of a run of ``tiny``, once for each request."""
    output = tmp_path_factory.mktemp("runs")

    def run(method, **changes):
        return runner.run(job(runner, method, QUICK | changes, output))

    return run


def job(runner, method, changes, output):
    (planned,) = plan_jobs(
        runner.catalog,
        methods=[method],
        scenarios=["tiny"],
        seeds=[0],
        options={},
        changes=changes,
        output=output,
    )
    return planned


@pytest.fixture(scope="module")
def bench(runner, tmp_path_factory):
    """The bench of ``tiny``."""
    return runner.bench(job(runner, "fedavg", QUICK, tmp_path_factory.mktemp("bench")).resolved)


@pytest.fixture
def exact(bench, monkeypatch):
    """``tiny``'s task in float64 throughout, its start [P], and its pairs, which are of all kinds."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # else the LLM's ends are float32
    llm = bench.loaded.backbone.llm.double()
    prompts = ["", "what is this?", "what kind of thing is it?"]
    pairs = [
        Pair(image, prompts[number % 3], answer)
        for number, (image, answer) in enumerate(
            zip(
                [3, NO_IMAGE, 5, 7, NO_IMAGE, NO_IMAGE, 9, 2],
                ["cat", "dog house", "a", "tree of", "sun", "big red car", "x", "y"],
                strict=True,
            )
        )
    ]
    pairs += [Pair(NO_IMAGE, "", "a red flower"), Pair(NO_IMAGE, "what?", "moon")]
    table = TokenTable.build(pairs, bench.task.llm)
    task = replace(bench.task, features=bench.task.features.double(), table=table)
    yield task, bench.task.trainable.init(torch_stream(0, "init")).double(), pairs
    llm.to(torch.float32)


def loss_and_gradient(task, params, index):
    params = params.clone().requires_grad_(True)
    loss = task.loss(params, index)
    (gradient,) = torch.autograd.grad(loss.sum(), params)
    return loss.detach(), gradient


def test_a_batch_with_some_images_missing_gives_what_its_examples_give_alone(exact):
    """Loss and gradient of every client, from its examples one by one, weighted by their answers' tokens."""
    task, start, _ = exact
    index = torch.tensor([[0, 1, 2, 8], [4, 5, -1, -1], [9, 3, 6, 7]])
    loss, gradient = loss_and_gradient(task, start.repeat(3, 1), index)
    for client, examples in enumerate(index.tolist()):
        total, moved, tokens = 0.0, torch.zeros_like(start), 0
        for example in (one for one in examples if one >= 0):
            alone, grad = loss_and_gradient(task, start[None], torch.tensor([[example]]))
            count = int(task.table.end[example] - task.table.start[example]) - (example == 8)
            total, moved, tokens = total + alone[0] * count, moved + grad[0] * count, tokens + count
        assert float(abs(loss[client] - total / tokens)) < 1e-12
        # transformers' norms are in float32 whatever the rest is in
        assert float((gradient[client] - moved / tokens).norm()) <= 1e-6 * float(moved.norm() / tokens)
    assert gradient[1].abs().max() == 0 and gradient[0].abs().max() > 0


def test_an_example_without_image_is_its_text_alone(exact):
    """What a plain call of the LLM says of prompt and answer, from position 0 on."""
    task, start, pairs = exact
    tokenizer, llm = task.llm.backbone.tokenizer, task.llm.backbone.llm
    for example in (1, 5, 8, 9):
        assert pairs[example].image == NO_IMAGE
        prompt = tokenizer(pairs[example].prompt, add_special_tokens=False)["input_ids"]
        answer = [
            *tokenizer(f" {pairs[example].answer}", add_special_tokens=False)["input_ids"],
            tokenizer.eos_token_id,
        ]
        ids = torch.tensor([[*prompt, *answer]])
        plain = llm(input_ids=ids).logits[0].detach()
        predicted = answer if prompt else answer[1:]
        expected = F.cross_entropy(plain[-len(predicted) - 1 : -1], torch.tensor(predicted))
        found = task.loss(start[None], torch.tensor([[example, -1]])).detach()
        torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-9)


def test_what_is_read_without_an_image_is_what_the_blind_prior_reads(exact, bench):
    task, start, _ = exact
    items = [item for item in bench.data.suites["unseen-concept/name"].items if item.prompt][:4]
    answers = [replace(item, choices=()) for item in items]
    prior = likelihoods(task.llm, pack(answers, task.llm), None)
    pairs = [Pair(NO_IMAGE, item.prompt, item.answer) for item in answers]
    blind = replace(task, table=TokenTable.build(pairs, task.llm))
    found = blind.loss(start.repeat(4, 1), torch.arange(4)[:, None])
    wanted = [-logp[0] / tokens for logp, tokens in zip(prior.logp, prior.tokens, strict=True)]
    torch.testing.assert_close(found.detach(), torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=1e-9)


def test_clients_together_train_as_they_would_alone(exact, bench):
    """One of them has a batch without any image."""
    task, start, _ = exact
    training = bench.training.model_copy(update={"batch_size": 2})
    work = [LocalWork(0, np.array([0, 1, 2, 3]), 0, 2), LocalWork(1, np.array([4, 5, 6]), 0, 2)]
    together = train_clients(task, start.repeat(2, 1), work, no_rule([0, 1], start), training)
    for row, item in enumerate(work):
        alone = train_clients(task, start[None], [item], no_rule([row], start), training)
        torch.testing.assert_close(together.params[row], alone.params[0], rtol=0, atol=1e-9)


def test_signals_mask_out_examples_without_an_image_and_reports_are_of_the_others(exact):
    task, start, _ = exact
    index = torch.tensor([[0, 1, 2], [4, 5, -1]])
    assert task.signals(start.repeat(2, 1), index).mask.tolist() == [[1, 0, 1], [0, 0, 0]]
    rule, training = make("fed-cmp").local_rule(None), Training(batch_size=4, lr=1e-3)
    work = [LocalWork(0, np.array([0, 1, 2]), 0, 1), LocalWork(1, np.array([4, 5]), 0, 1)]
    trained = train_clients(task, start.repeat(2, 1), work, rule, training)
    ((name, report),) = rule.reports.items()
    seen = report(task.signals(trained.params[:1], torch.tensor([[0, 2]])))
    assert float(trained.sent[name][0]) == pytest.approx(float(seen.mean()), rel=1e-6)
    assert trained.sent[name][1] == 0


def test_a_rate_of_zero_is_no_section_at_all_bit_for_bit(run):
    plain, nothing = (
        read_record(run("fedavg", **changes)) for changes in ({}, {"modality.missing_images": 0.0})
    )
    assert [entry.digest for entry in plain.rounds] == [entry.digest for entry in nothing.rounds]
    assert [entry.loss for entry in plain.rounds] == [entry.loss for entry in nothing.rounds]
    assert nothing.data.without_image == nothing.data.without_text == [0, 0, 0]
    assert plain.data.without_image is None and "without_image" not in plain.model_dump(mode="json")["data"]


def test_missing_parts_change_what_is_learnt_and_the_same_examples_count(run):
    plain, rates, counts = (read_record(run("fedavg", **changes)) for changes in ({}, RATES, COUNTS))
    assert len({record.rounds[1].digest for record in (plain, rates, counts)}) == 3
    assert plain.costs.client_examples == rates.costs.client_examples == counts.costs.client_examples
    assert all(
        0 < lost < held
        for lost, held in zip(rates.data.without_image, rates.data.client_examples, strict=True)
    )
    assert sorted(map(bool, counts.data.without_text)) == [False, False, True]


def test_the_shuffled_control_is_reported_for_every_client(run):
    record = read_record(run("fedavg", **RATES))
    clients, last = record.control_clients["shuffled"], record.rounds[-1].clients
    assert {k: m.n for k, m in clients.items()} == {k: m.n for k, m in last.items()} and len(clients) == 3
    whole = record.controls["shuffled"][record.primary]
    assert sum(m.value * m.n for m in clients.values()) / whole.n == pytest.approx(whole.value)
    assert {k: m.value for k, m in clients.items()} != {k: m.value for k, m in last.items()}
    exported = [row for row in rows(record) if row["stage"] == "shuffled" and row.get("client")]
    assert [row["value"] for row in exported] == [m.value for m in clients.values()]


def _other_control(record):
    record["control_clients"]["shuffled"]["0"].update(value=1.0, se=0.0)


def _fewer_items(record):
    del record["control_clients"]["shuffled"]["0"]


def _kept_texts(record):
    record["data"]["without_text"] = [0, 0, 0]


def _silent(record):
    del record["data"]["without_text"]


def _more_than_there_are(record):
    record["data"]["without_image"][0] = 10**6


LIES = {
    "a client under the control": (
        RATES,
        _other_control,
        "control shuffled: unseen-concept/category/accuracy is",
    ),
    "a client that was not measured": (RATES, _fewer_items, "control shuffled: its clients have other items"),
    "texts that a client is said to have": (
        COUNTS,
        _kept_texts,
        "examples without text are not what its scenario",
    ),
    "nothing said of texts": (COUNTS, _silent, "it does not say what each client lacks"),
    "more images than examples": (
        RATES,
        _more_than_there_are,
        "examples without image are not what its scenario",
    ),
}


@pytest.mark.parametrize(("changes", "lie", "said"), LIES.values(), ids=LIES.keys())
def test_an_honest_record_is_consistent_and_one_that_lies_is_found(
    run, catalog, tmp_path, changes, lie, said
):
    path = run("fedavg", **changes)
    (verdict,) = verify([path], catalog)
    assert (verdict.level.name, verdict.problem) == ("consistent", "")
    record = json.loads(path.read_text())
    assert by_round(record["rounds"])
    lie(record)
    forged = tmp_path / "record.json"
    forged.write_text(json.dumps(sealed(record)))
    (verdict,) = verify([forged], catalog)
    assert verdict.level.name == "valid" and said in verdict.problem


def test_a_run_that_was_stopped_goes_on_with_the_same_examples(runner, tmp_path):
    resolved = job(runner, "fedavg", QUICK | RATES, tmp_path).resolved

    def rounds(resume):
        fresh = Runner(runner.catalog, runner.device, "serial").bench(resolved)
        begun = AggregationRun(fresh, make("fedavg"), 0, "serial")
        return list(begun.rounds(begun.executor(None), resume, ProgressCallbacks()))

    *_, stopped, last = rounds(None)
    (again,) = rounds(stopped.state)
    assert last.entry.digest == again.entry.digest and last.entry.metrics == again.entry.metrics


def test_label_flip_and_missing_parts_go_together(run):
    record = read_record(run("fedavg", **RATES, **{"faults.byzantine": 0.34, "faults.attack": "label-flip"}))
    assert record.rounds[1].attackers and record.status == "completed"


def test_a_client_that_is_left_without_an_image_is_refused_before_anything_is_encoded(fedbench, tiny):
    for changes in (["modality.missing_images=0.999"], ["modality.text_only=1", "modality.image_text=2"]):
        sets = [word for change in changes for word in ("--set", change)]
        code, _, err = fedbench("run", "-s", "tiny", "-m", "fedavg", *sets)
        assert code == 2 and len(err.splitlines()) == 1
        assert "has no image" in err or "nothing to train" in err


def test_show_says_who_lacks_what(fedbench, tiny):
    text = (tiny / "tiny.toml").read_text() + "\n[modality]\nimage_text = 2\nimage_only = 1\n"
    Path("tiny.toml").write_text(text)
    Path("tiny.json").write_bytes((tiny / "tiny.json").read_bytes())
    code, out, err = fedbench("show", "scenario", "tiny.toml", "--format", "json")
    assert (code, err) == (0, "")
    clients = json.loads(out)["heterogeneity"]["clients"]
    lacking = [client["without_text"] for client in clients]
    kinds = client_modalities(Modality(image_text=2, image_only=1), 3)
    assert lacking == [
        c["pairs"] if kind == "image_only" else 0 for c, kind in zip(clients, kinds, strict=True)
    ]
    _, table, _ = fedbench("show", "scenario", "tiny.toml")
    assert "without" in table and "modality.image_only" in table
    assert "without" not in fedbench("show", "scenario", "tiny")[1]
