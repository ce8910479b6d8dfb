"""Hugging Face checkpoints, loaded and checked: safetensors, no remote code, one line for what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from fedbench_huggingface import hub
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging

from fedbench import ChatTemplate, UsageError, sha256_file, sha256_json

PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.jinja", "tokenizer.model")
ENCODING = ("config.json", "preprocessor_config.json", "processor_config.json")
WORDS = {"tokenizer.json", "tokenizer.model", "vocab.json"}
SAFE = {"local_files_only": True, "trust_remote_code": False}
QUESTION = "\ue000"


@dataclass(frozen=True)
class Checkpoint:
    """The files of a checkpoint in Hugging Face format."""

    folder: Path
    """Where the files lie."""
    option: str
    """The option that a user sets to choose another one."""

    @classmethod
    def at(
        cls, path: str, revision: str | None, *, local_files_only: bool, option: str = "backbone.files.path"
    ) -> Checkpoint:
        """Open a folder, or a repository on the Hub, downloaded if need be."""
        folder = hub.place(
            path, revision, "model", PATTERNS, local_files_only=local_files_only, option=option
        )
        return cls(folder, option)

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The sha256 of all files that are read, by name."""
        paths = {path for pattern in PATTERNS for path in self.folder.glob(pattern)}
        return {path.name: sha256_file(path) for path in sorted(paths)}

    def fingerprint(self, *settings: Any) -> str:
        """Hash all files and the ``settings`` that change a number."""
        return sha256_json([self.files, *settings])

    def encoder(self, *settings: Any) -> str:
        """Hash what the vision tower depends on: not the tokenizer."""
        kept = {n: s for n, s in self.files.items() if n in ENCODING or n.endswith(".safetensors")}
        return sha256_json([kept, *settings])

    def wrong(self, what: str, why: object, fix: str = "") -> UsageError:
        """Make the error for a checkpoint that can't be used."""
        fix = fix or f"set {self.option} to a sound checkpoint"
        return UsageError(what, where=self.folder, why=why, fix=fix)

    def model(self, kind: Any, architecture: str, dtype: str) -> Any:
        """Load the weights as a ``kind``, in evaluation mode and without gradients."""
        logging.disable_progress_bar()
        try:
            config = AutoConfig.from_pretrained(self.folder, **SAFE)
        except Exception as error:
            raise self.wrong("can't read the checkpoint's config.json", hub.first_line(error)) from error
        if config.model_type != architecture:
            blind = "" if "vision_config" in config.to_dict() else ", which has no vision tower"
            raise self.wrong(
                f"the checkpoint is not of architecture {architecture!r}",
                f"its config.json says {config.model_type!r}{blind}",
                f"set {self.option} to a checkpoint of that architecture, or name another backbone",
            )
        if not any(name.endswith(".safetensors") for name in self.files):
            raise self.wrong(
                "the checkpoint has no safetensors",
                "other formats can run code when they are read",
                "convert it once: from_pretrained(…), then save_pretrained(FOLDER)",
            )
        try:
            model, report = kind.from_pretrained(
                self.folder,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                output_loading_info=True,
                **SAFE,
            )
        except Exception as error:
            raise self.wrong("can't load the checkpoint's weights", hub.first_line(error)) from error
        if missing := sorted(report["missing_keys"]):
            raise self.wrong(
                "the checkpoint's weights are incomplete", f"{len(missing)} are missing, such as {missing[0]}"
            )
        return model.eval().requires_grad_(False)

    def processor(self, kind: Any) -> Any:
        """Load the image processor as a ``kind``, which needs no torchvision."""
        try:
            return kind.from_pretrained(self.folder, **SAFE)
        except Exception as error:
            raise self.wrong("can't read the checkpoint's image processor", hub.first_line(error)) from error

    def tokenizer(self, llm: Any) -> PreTrainedTokenizerBase:
        """Load the tokenizer; ``llm`` must have an embedding of each of its tokens."""
        if not self.files.keys() & WORDS:
            # transformers would make an empty one.
            raise self.wrong(
                "the checkpoint has no tokenizer", f"none of {', '.join(sorted(WORDS))} is there"
            )
        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(self.folder, **SAFE)
        except Exception as error:
            raise self.wrong("can't read the checkpoint's tokenizer", hub.first_line(error)) from error
        rows = llm.get_input_embeddings().num_embeddings
        if len(tokenizer) > rows:
            raise self.wrong(
                "tokenizer and model do not belong together",
                f"the tokenizer has {len(tokenizer)} tokens, the model embeddings of {rows}",
                "restore the tokenizer that the model came with",
            )
        if tokenizer.eos_token_id is None:
            raise self.wrong("the checkpoint's tokenizer has no eos token", "answers could not end")
        return tokenizer

    def chat_template(self, tokenizer: Any, image_token: int) -> ChatTemplate:
        """Take the text around one image and one question from the tokenizer's chat template."""
        token = tokenizer.convert_ids_to_tokens(image_token) if image_token < len(tokenizer) else None
        if token is None:
            raise self.wrong(
                "tokenizer and model do not belong together",
                f"the model's image token is {image_token}, which the tokenizer does not have",
                "restore the tokenizer that the model came with",
            )
        content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
        try:
            text: str = tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=self._template() or tokenizer.chat_template,
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception as error:
            raise self.wrong("can't use the checkpoint's chat template", hub.first_line(error)) from error
        before, _, rest = text.partition(token)
        after, asked, turn = rest.partition(QUESTION)
        if text.count(token) != 1 or not asked:
            raise self.wrong(
                "tokenizer and chat template do not belong together",
                f"the template does not show one image ({token}) before the question",
                "restore the tokenizer and the chat template that the model came with",
            )
        return ChatTemplate(before, after, turn, lead="")

    def _template(self) -> str | None:
        """Read a processor's own chat template, which older checkpoints have beside the tokenizer's."""
        path = self.folder / "chat_template.json"
        if not path.exists():
            return None
        return str(json.loads(path.read_text(encoding="utf-8"))["chat_template"])
