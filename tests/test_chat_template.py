"""A backbone's chat template: text around image and question, positions along several axes, other dtypes."""

import copy
from dataclasses import replace

import pytest
import torch

from fedbench.catalog import Catalog
from fedbench.data import Item
from fedbench.evaluation.packing import pack
from fedbench.evaluation.scoring import generate, likelihoods
from fedbench.models.backbone import Backbone
from fedbench.models.chat_template import ChatTemplate
from fedbench.models.language import LanguageModel
from fedbench.models.policy import Policy, Questions
from fedbench.models.projector import Projector
from fedbench.models.rewards import VLMReward
from fedbench.plugins import Plugins
from fedbench.rng import torch_stream

ITEMS = [Item(0, "what is this?", "red apple", "a", ("red apple", "pear")), Item(1, "is it?", "no", "b")]


@pytest.fixture(scope="module")
def nano() -> Backbone:
    return Catalog(Plugins()).backbones["nano"].create(None).freeze(torch.device("cpu"))


def drawn(*shape):
    return torch.randn(*shape, generator=torch_stream(0, "frame"))


def test_without_a_frame_an_image_is_its_tokens(nano):
    llm, visual = LanguageModel(nano), drawn(2, 4, nano.width)
    assert llm.with_template(visual) is visual
    assert llm.position_ids(torch.arange(5)).tolist() == [0, 1, 2, 3, 4]


def test_a_frame_is_the_same_as_writing_it_out(nano):
    """Text before the image, an embedding after it, text around question and answer: as one sequence."""
    closing = drawn(1, nano.width)
    template = ChatTemplate("a drawing of", " so: ", " go: ", "the ", closing)
    llm, plain = LanguageModel(replace(nano, chat_template=template)), LanguageModel(nano)
    visual = drawn(2, 4, nano.width)
    before = plain.embed(torch.tensor(plain.prompt_ids(["a drawing of"]))).expand(2, -1, -1)
    written = torch.cat([before, visual, closing.expand(2, -1, -1)], dim=1)
    assert torch.equal(llm.with_template(visual), written)
    assert torch.equal(llm.with_template(visual[None]), written[None]), (
        "whatever stands in front of the tokens"
    )
    assert llm.prompt_ids(["what?"]) == plain.prompt_ids([" so: what? go: "])
    assert llm.answer_ids(["cat"]) == [[*plain.prompt_ids(["the cat"])[0], plain.eos]]
    found = likelihoods(llm, pack(ITEMS, llm), visual)
    assert found == likelihoods(plain, pack(ITEMS, llm), written)
    generated = [replace(item, prompt=f" so: {item.prompt} go: ") for item in ITEMS]
    assert generate(llm, ITEMS, visual) == generate(plain, generated, written)


def test_a_frame_may_be_evaluated_before_it_is_trained_with(nano):
    llm = LanguageModel(
        replace(nano, llm=copy.deepcopy(nano.llm), chat_template=ChatTemplate("a drawing of"))
    )
    visual = drawn(2, 4, nano.width)
    with torch.inference_mode():
        llm.with_template(visual)
    llm.backbone.llm.requires_grad_(True)
    llm.with_template(visual).sum().backward()
    assert llm.backbone.llm.get_input_embeddings().weight.grad.abs().sum() > 0


def test_positions_are_looked_up_in_the_image_and_counted_behind_it(nano):
    table = torch.tensor([[0, 1, 1, 1, 1], [0, 1, 1, 2, 2], [0, 1, 2, 1, 2]])
    llm = LanguageModel(replace(nano, chat_template=ChatTemplate(positions=table)))
    found = llm.position_ids(torch.arange(8).expand(2, -1))
    assert found.shape == (3, 2, 8)
    assert torch.equal(found[:, 1, :5], table)
    assert found[:, 0, 5:].tolist() == [[3, 4, 5]] * 3, "text goes on after the largest"


def test_a_projector_is_recognised_by_its_parameters():
    projector = Projector(features=6, hidden=5, width=4)
    params = projector.init(torch_stream(0, "p"))
    assert Projector.holding(params, 6, 4) == projector
    with pytest.raises(ValueError, match="no projector from 7 to 4"):
        Projector.holding(params, 7, 4)


def test_a_reward_model_starts_with_the_backbones_own_projector(nano):
    own = Projector(features=6, hidden=5, width=nano.width).init(torch_stream(0, "own"))
    model = VLMReward(LanguageModel(replace(nano, projector=own)), features=6, hidden=99)
    assert model.projector.hidden == 5
    assert torch.equal(model.init(torch_stream(1, "init")), torch.cat([own, torch.zeros(nano.width)]))


def test_a_bfloat16_llm_is_float32_outside_and_a_policy_made_of_it_learns(nano):
    half = replace(nano, llm=copy.deepcopy(nano.llm).bfloat16())
    llm, visual = LanguageModel(half), drawn(2, 4, nano.width)
    assert {llm.embed(torch.tensor([5])).dtype, llm.hidden(visual).dtype} == {torch.float32}
    whole = likelihoods(LanguageModel(nano), pack(ITEMS, llm), 0.1 * visual)
    assert likelihoods(llm, pack(ITEMS, llm), 0.1 * visual).logp[0] == pytest.approx(whole.logp[0], rel=0.05)
    projector = Projector(features=6, hidden=5, width=nano.width)
    policy = Policy(half, projector, projector.init(torch_stream(0, "p")), drawn(2, 4, 6))
    before = {name: value.detach().clone() for name, value in policy.named_parameters()}
    asked = Questions(torch.tensor([1]), policy.llm.prompt_ids(["what is this?"]))
    policy.logp(asked, torch.tensor([[5, 6]]), torch.ones(1, 2, dtype=torch.bool)).sum().backward()
    torch.optim.AdamW(policy.parameters(), lr=1e-6, weight_decay=0.0).step()
    moved = [not torch.equal(before[name], value) for name, value in policy.named_parameters()]
    assert all(moved), "a step at 7B's learning rate is not rounded away"


SPELT = ["a <eos> sign", "<bos>", "<pad> <eos>"]


def test_a_text_that_spells_a_special_token_is_text(nano):
    llm = LanguageModel(nano)
    special = set(nano.tokenizer.all_special_ids)
    for text, prompt, answer in zip(SPELT, llm.prompt_ids(SPELT), llm.answer_ids(SPELT), strict=True):
        assert not special & {*prompt, *answer[:-1]} and answer[-1] == llm.eos
        assert nano.tokenizer.decode(prompt).strip() == text == nano.tokenizer.decode(answer[:-1]).strip()


def test_a_chat_templates_own_special_tokens_stay_so(nano):
    llm = LanguageModel(replace(nano, chat_template=ChatTemplate(after="<bos>see: ", turn=" so:<pad> ")))
    (plain,), (spelt,) = llm.prompt_ids(["what?"]), llm.prompt_ids(["<eos>?"])
    bos, pad = nano.tokenizer.convert_tokens_to_ids(["<bos>", "<pad>"])
    assert plain[0] == spelt[0] == bos and plain.count(pad) == spelt.count(pad) == 1 and llm.eos not in spelt
    assert nano.tokenizer("<bos>see: what? so:<pad> ", add_special_tokens=False)["input_ids"] == plain


@pytest.mark.parametrize("name", ["emoji", "easy-vqa"])
def test_the_texts_of_our_data_have_the_tokens_that_they_had(nano, name):
    """Committed records were made with the tokenizer's own reading of each text."""
    entry = Catalog(Plugins()).datasets[name]
    data, llm = entry.create(entry.options()), LanguageModel(nano)
    texts = {text for pair in data.pairs for text in (pair.prompt, pair.answer)}
    texts |= {text for suite in data.suites.values() for i in suite.items for text in (i.answer, *i.choices)}
    before = nano.tokenizer([f" {text}" for text in sorted(texts)], add_special_tokens=False)["input_ids"]
    assert llm.answer_ids(sorted(texts)) == [[*ids, llm.eos] for ids in before]
