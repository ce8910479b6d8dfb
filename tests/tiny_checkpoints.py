"""Checkpoints of the papers' architectures in Hugging Face format, with some thousand random weights each."""

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)
from transformers.utils import logging

ROWS = 300
"""Embeddings, more than tokens, as published checkpoints have it."""
PATCH, MERGE, SIDE, WIDTH = 4, 2, 32, 32
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": WIDTH, "intermediate_size": 48}
QWEN_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip
LLAVA_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
QWEN_TEMPLATE = """\
{%- for message in messages %}{% if loop.first and message.role != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message.role }}
{% for part in message.content %}{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>\
{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
LLAVA_TEMPLATE = """\
{%- for message in messages %}<|im_start|>{{ message.role }} \
{% for part in message.content if part.type == 'image' %}<image>{% endfor %}\
{% for part in message.content if part.type == 'text' %}{{ '\\n' + part.text }}{% endfor %}<|im_end|>\
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def tokenizer(tokens, template=None, eos="<|im_end|>", **special):
    """Bytes and ``tokens``."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token=eos, chat_template=template, **special)


def save(folder, model, *parts):
    """The weights drawn once more, wide enough that answers depend on everything."""
    logging.disable_progress_bar()
    stream = torch.Generator().manual_seed(0)
    for name, value in model.named_parameters():
        if value.dim() > 1:
            value.data = torch.randn(value.shape, generator=stream) * (0.7 if "embed" in name else 0.25)
        elif "norm" not in name and "ln" not in name:
            value.data = 0.1 * torch.randn(value.shape, generator=stream)
    for part in (model, *parts):
        part.save_pretrained(folder)
    return folder


def _qwen_ids(words):
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    tokens = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    return {name: words.convert_tokens_to_ids(token) for name, token in zip(names, tokens, strict=True)}


def _qwen_text(words):
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    text = {**LAYERS, "vocab_size": ROWS, "num_key_value_heads": 2, "max_position_embeddings": 512}
    return text | {"rope_parameters": rope, "bos_token_id": None, "eos_token_id": words.eos_token_id}


def qwen2_vl(folder, tied=True):
    words = tokenizer(QWEN_TOKENS, QWEN_TEMPLATE)
    vision = {"depth": 2, "embed_dim": 16, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 2}
    vision |= {"patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": 2}
    config = Qwen2VLConfig(
        text_config=_qwen_text(words), vision_config=vision, tie_word_embeddings=tied, **_qwen_ids(words)
    )
    model = Qwen2VLForConditionalGeneration(config)
    return save(folder, model, words, Qwen2VLImageProcessorPil(patch_size=PATCH, merge_size=MERGE))


def qwen2_5_vl(folder, tied=False):
    words = tokenizer(QWEN_TOKENS, QWEN_TEMPLATE)
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "patch_size": PATCH}
    vision |= {"window_size": 4 * PATCH, "fullatt_block_indexes": [1], "out_hidden_size": WIDTH}
    vision |= {"spatial_merge_size": MERGE, "temporal_patch_size": 2}
    config = Qwen2_5_VLConfig(
        text_config=_qwen_text(words), vision_config=vision, tie_word_embeddings=tied, **_qwen_ids(words)
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    return save(folder, model, words, Qwen2VLImageProcessorPil(patch_size=PATCH, merge_size=MERGE))


def llava_onevision(folder, tied=True, act="gelu"):
    words = tokenizer(LLAVA_TOKENS, LLAVA_TEMPLATE)
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"image_size": SIDE, "patch_size": PATCH, "vision_use_head": False}
    text = {**LAYERS, "model_type": "qwen2", "vocab_size": ROWS, "num_key_value_heads": 2}
    text |= {"bos_token_id": None, "eos_token_id": words.eos_token_id, "tie_word_embeddings": tied}
    config = LlavaOnevisionConfig(
        vision_config={**vision, "model_type": "siglip_vision_model"}, text_config=text,
        projector_hidden_act=act, image_grid_pinpoints=[[SIDE, SIDE], [SIDE, 2 * SIDE]],
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"), tie_word_embeddings=tied,
    )  # fmt: skip
    images = LlavaOnevisionImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3,
        image_grid_pinpoints=config.image_grid_pinpoints,
    )  # fmt: skip
    return save(folder, LlavaOnevisionForConditionalGeneration(config), words, images)


def clip(folder):
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
    vision = sizes | {"image_size": SIDE, "patch_size": 2 * PATCH}
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return save(folder, CLIPModel(CLIPConfig(vision_config=vision, text_config=sizes)), images)


def llama(folder):
    words = tokenizer(("<unk>", "<s>", "</s>"), eos="</s>", bos_token="<s>")
    text = {**LAYERS, "vocab_size": ROWS, "max_position_embeddings": 512}
    ids = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": None}
    return save(folder, LlamaForCausalLM(LlamaConfig(**text, **ids)), words)
