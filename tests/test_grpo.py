"""GRPO's pieces: advantages, the loss beside TRL's, a policy that samples what it says it samples."""

import copy
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from trl import GRPOTrainer

from fedbench.catalog import Catalog
from fedbench.data.items import Item
from fedbench.evaluation.scoring import generate
from fedbench.models.language import LanguageModel
from fedbench.models.policy import Policy, Questions
from fedbench.models.projector import Projector
from fedbench.plugins import Plugins
from fedbench.preference.grpo import advantages, grpo_terms
from fedbench.rng import torch_stream


def test_advantages_are_relative_to_the_group():
    rewards = torch.tensor([[1.0, 2.0, 3.0, 6.0], [5.0, 5.0, 5.0, 5.0]])
    found = advantages(rewards)
    torch.testing.assert_close(found[0], (rewards[0] - 3) / (rewards[0].std() + 1e-6))
    assert (found[1] == 0).all()
    torch.testing.assert_close(advantages(10 * rewards + 3), found, rtol=1e-4, atol=1e-5)


def test_a_reward_that_never_came_counts_for_nobody():
    found = advantages(
        torch.tensor([[1.0, torch.nan, 3.0], [torch.nan, torch.nan, torch.nan], [1.0, torch.nan, torch.nan]])
    )
    torch.testing.assert_close(found[0], torch.tensor([-(0.5**0.5), 0, 0.5**0.5]), rtol=1e-4, atol=1e-5)
    assert (found[1:] == 0).all()


def drawn(seed, answers=6, length=7):
    """Log-probabilities of three close policies, advantages and ragged masks."""
    stream = torch_stream(seed, "grpo test")
    logp = -3 * torch.rand(answers, length, generator=stream, dtype=torch.float64)
    old, reference = (
        logp + 0.4 * torch.randn(logp.shape, generator=stream, dtype=torch.float64) for _ in range(2)
    )
    lengths = torch.randint(1, length + 1, (answers, 1), generator=stream)
    advantage = torch.randn(answers, generator=stream, dtype=torch.float64)
    return logp.requires_grad_(), old, reference, advantage, torch.arange(length) < lengths


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_and_its_gradient_are_trls(seed):
    """On identical tensors; the model and the trainer's bookkeeping are stand-ins, the loss is TRL's."""
    logp, old, reference, advantage, mask = drawn(seed)
    theirs_logp = logp.detach().clone().requires_grad_()
    config = SimpleNamespace(use_bias_correction_kl=False, delta=None)
    accelerator = Accelerator(cpu=True)
    stand_in = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (theirs_logp, torch.zeros_like(logp), None),
        aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None,
        importance_sampling_level="token", beta=0.04, args=config, loss_type="grpo", epsilon_low=0.2,
        epsilon_high=0.3, use_vllm=False, model=SimpleNamespace(training=True), accelerator=accelerator,
        current_gradient_accumulation_steps=1, _entropy_bonus_enabled=False,
        _metrics={"train": defaultdict(list)},
    )  # fmt: skip
    inputs = {
        "prompt_ids": torch.zeros(len(logp), 1), "prompt_mask": torch.ones(len(logp), 1),
        "completion_ids": torch.zeros(mask.shape), "completion_mask": mask.long(), "advantages": advantage,
        "old_per_token_logps": old, "ref_per_token_logps": reference,
    }  # fmt: skip
    theirs = GRPOTrainer._compute_loss(stand_in, None, inputs)
    ours = grpo_terms(logp, old, reference, advantage, mask, clip_low=0.2, clip_high=0.3, kl_weight=0.04)
    assert (ours.loss - theirs).detach().abs() < 1e-10
    (wanted,) = torch.autograd.grad(theirs, theirs_logp)
    (found,) = torch.autograd.grad(ours.loss, logp)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


def test_clipping_stops_the_gradient():
    old, mask = torch.zeros(2, 1), torch.ones(2, 1, dtype=torch.bool)
    logp = torch.log(torch.tensor([[1.5], [0.5]])).requires_grad_()
    terms = grpo_terms(
        logp, old, logp.detach(), torch.tensor([1.0, -1.0]), mask, clip_low=0.2, clip_high=0.3, kl_weight=0.0
    )
    (gradient,) = torch.autograd.grad(terms.loss, logp)
    assert (gradient == 0).all() and terms.clipped == 1


@pytest.fixture(scope="module")
def backbone():
    return Catalog(Plugins()).backbones["nano"].create(None).freeze(torch.device("cpu"))


@pytest.fixture(scope="module")
def policy(backbone):
    projector = Projector(features=112, hidden=32, width=backbone.width)
    features = torch.randn(8, 4, 112, generator=torch_stream(0, "features"))
    return Policy(backbone, projector, 3 * projector.init(torch_stream(0, "init")), features)


@pytest.fixture(scope="module")
def questions(policy):
    prompts = ["what is this?", "which category?", "is it a cat?", "what kind?"]
    return Questions(torch.tensor([0, 3, 5, 5]), policy.llm.prompt_ids(prompts))


def test_sampled_answers_have_the_probability_they_were_drawn_with(policy, questions):
    for temperature in (1.0, 0.7):
        answers = policy.sample(
            questions, 5, limit=12, temperature=temperature, stream=torch_stream(1, "sample")
        )
        again = policy.logp(questions, answers.ids, answers.mask, temperature)
        assert answers.ids.shape[0] == 20 and answers.mask.any(1).all()
        torch.testing.assert_close(again.detach(), answers.logp, rtol=0, atol=2e-5)


def test_sampling_is_the_streams(policy, questions):
    def ids(seed):
        return policy.sample(
            questions, 4, limit=8, temperature=1.0, stream=torch_stream(seed, "sample")
        ).ids.tolist()

    assert ids(1) == ids(1) != ids(2)


def test_sampling_follows_the_policys_distribution(policy):
    """The first token of many draws against the softmax."""
    one = Questions(torch.tensor([2]), policy.llm.prompt_ids(["which category?"]))
    answers = policy.sample(one, 4000, limit=1, temperature=1.0, stream=torch_stream(3, "draws"))
    token, counts = answers.ids[:, 0].unique(return_counts=True)
    chance = policy.logp(
        one.repeated(len(token)), token[:, None], torch.ones(len(token), 1, dtype=torch.bool)
    )
    wanted = chance.exp().squeeze(1).detach()
    seen = counts / 4000
    assert ((seen - wanted).abs() < 5 * (wanted * (1 - wanted) / 4000).sqrt() + 1e-3).all()


def test_a_question_is_answered_alike_alone_and_in_company(policy, questions):
    together = policy.sample(questions, 1, limit=10, temperature=0.0, stream=None)
    for row in range(len(questions)):
        alone = policy.sample(
            Questions(questions.images[row : row + 1], questions.prompts[row : row + 1]),
            1, limit=10, temperature=0.0, stream=None,
        )  # fmt: skip
        assert policy.texts(alone) == [policy.texts(together)[row]]


def test_greedy_answers_are_those_of_transformers(policy, questions):
    prompts = ["what is this?", "which category?", "is it a cat?", "what kind?"]
    eos = policy.llm.eos
    found = policy.sample(questions, 1, limit=10, temperature=0.0, stream=None)
    with torch.no_grad():
        visual = policy.visual(questions.images)
        for row, prompt in enumerate(questions.prompts):
            text = policy.llm.embed(torch.tensor([prompt]))
            (wanted,) = policy.weights.generate(
                inputs_embeds=torch.cat([visual[row : row + 1], text], dim=1), do_sample=False,
                attention_mask=torch.ones(1, visual.shape[1] + text.shape[1], dtype=torch.long),
                max_new_tokens=10, eos_token_id=eos, pad_token_id=eos,
            ).tolist()  # fmt: skip
            assert found.ids[row][found.mask[row]].tolist() == wanted
    items = [Item(0, prompt, "", "g") for prompt in prompts]
    answers = generate(policy.llm, items, visual, limit=10)
    assert answers == [text or None for text in policy.texts(found)]


def test_the_policy_has_weights_of_its_own(policy, backbone):
    before = copy.deepcopy(backbone.llm.state_dict())
    other = Policy(backbone, policy.projector, policy.projected.detach(), policy.features)
    asked = Questions(torch.tensor([1]), other.llm.prompt_ids(["what is this?"]))
    ids, mask = torch.tensor([[5, 6]]), torch.ones(1, 2, dtype=torch.bool)
    other.logp(asked, ids, mask).sum().backward()
    grads = [p.grad for p in other.parameters() if p.grad is not None]
    assert other.projected.grad.abs().sum() > 0 and len(grads) > 10
    torch.optim.SGD(other.parameters(), lr=0.1).step()
    assert all(torch.equal(before[name], value) for name, value in backbone.llm.state_dict().items())
    assert other.logp(asked, ids, mask).isfinite().all()


def alone(policy, questions, ids, mask):
    """Log-probabilities of each answer in a sequence of its own, by transformers' own forward pass."""
    group, rows = len(ids) // len(questions), []
    for row in range(len(ids)):
        prompt = questions.prompts[row // group]
        tokens = ids[row][mask[row]]
        visual = policy.visual(questions.images[row // group : row // group + 1])
        text = policy.llm.embed(torch.cat([torch.tensor(prompt), tokens])[None])
        logits = policy.weights(inputs_embeds=torch.cat([visual, text], dim=1)).logits[0]
        before = logits[visual.shape[1] + len(prompt) - 1 : -1].log_softmax(-1)
        rows.append(before.gather(1, tokens[:, None]).squeeze(1))
    return torch.cat(rows)


def test_shared_questions_and_packed_answers_change_neither_probabilities_nor_gradients(
    policy, questions, monkeypatch
):
    """In float64, against answers that are read one by one."""
    answers = policy.sample(questions, 3, limit=6, temperature=1.0, stream=torch_stream(5, "sample"))
    assert len(set(answers.mask.sum(1).tolist())) > 1
    exact = copy.deepcopy(policy).double()
    exact.llm = LanguageModel(replace(policy.llm.backbone, llm=exact.weights))
    exact.features = policy.features.double()
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    weight = torch.randn(int(answers.mask.sum()), generator=torch_stream(5, "weight"), dtype=torch.float64)

    def gradient(logp):
        found = torch.autograd.grad(logp @ weight, list(exact.parameters()))
        return torch.cat([part.flatten() for part in found])

    wanted = alone(exact, questions, answers.ids, answers.mask)
    found = exact.logp(questions, answers.ids, answers.mask)[answers.mask]
    with torch.no_grad():
        scored = exact.logp(questions, answers.ids, answers.mask)[answers.mask]
    for logp in (found, scored):
        torch.testing.assert_close(logp, wanted, rtol=0, atol=1e-6)
    by_group, one_by_one = gradient(found), gradient(wanted)
    assert (by_group - one_by_one).norm() < 1e-6 * one_by_one.norm()
