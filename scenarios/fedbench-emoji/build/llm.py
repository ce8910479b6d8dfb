"""Pretrain the nano language model to answer from a prefix of four embeddings. Text only.

    python build/llm.py --parquet fedbench_emoji/assets/emoji.parquet \\
        --out fedbench_emoji/assets/nano/llm --work DIR

Only concepts of the train split are read. A sample is
``[4 prefix embeddings][prompt][" " + answer][<eos>]``, its loss on answer and <eos>; one in ten
has no prefix, so that log p(answer) without an image is a calibrated prior.
"""

from __future__ import annotations

import json
import math
import random
import shlex
import sys
import time
from functools import cache
from pathlib import Path

import click
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from safetensors.torch import save
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from tqdm import trange
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fedbench_emoji.texts import Concept, Taxonomy, all_views
from prefixes import SLOTS, Recipe, Sample

VOCAB = 2048
BATCH = 128
CHUNK = 64  # samples of similar length share a forward pass; gradients add up over a batch
NO_PREFIX = 0.1
PEAK_LR = 2e-3
WARMUP = 0.03
SEED = 20261122
CONFIG_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)


@click.command(help=__doc__)
@click.option("--parquet", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Checkpoints.")
@click.option("--steps", default=4000, show_default=True)
@click.option("--minutes", default=50.0, show_default=True, help="The schedule ends here at last.")
@click.option("--early", default=4.0, show_default=True, help="Minutes until a first export.")
@click.option("--seed", default=SEED, show_default=True)
def main(parquet: Path, out: Path, work: Path, steps: int, minutes: float, early: float, seed: int) -> None:
    """Run the command."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    taxonomy = Taxonomy(tuple(train_concepts(parquet)))
    tokenizer = train_tokenizer(taxonomy, rng)
    model = LlamaForCausalLM(configuration(tokenizer))
    # On ~15 tokens plain attention beats the fused kernel, by far in bfloat16 on a CPU.
    model.set_attn_implementation("eager")
    batches = Batches(Recipe(taxonomy), tokenizer, rng)
    optimizer = torch.optim.AdamW(parameters(model), lr=PEAK_LR, betas=(0.9, 0.98))
    log: list[dict] = []
    start, step, samples, pending = time.monotonic(), 0, 0, {early}
    bar = trange(steps, file=sys.stderr, mininterval=5)
    for step in bar:
        elapsed = (time.monotonic() - start) / 60
        progress = max(step / steps, elapsed / minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LR * schedule(progress)
        losses = train_step(model, optimizer, batches)
        samples += BATCH
        if step % 50 == 49:
            log.append({"step": step + 1, "minutes": round(elapsed, 2), **losses})
            bar.set_postfix({k: f"{v:.3f}" for k, v in losses.items()})
            (work / "log.json").parent.mkdir(parents=True, exist_ok=True)
            (work / "log.json").write_text(json.dumps(log, indent=1))
        if (pending and elapsed > min(pending)) or step % 500 == 499:
            record = facts(
                model, seed=seed, steps=step + 1, samples=samples, minutes=elapsed, log=log, final=False
            )
            export(model, tokenizer, work / f"step{step + 1:05d}", record)
            if pending and elapsed > min(pending):
                pending.clear()
                export(model, tokenizer, out, record)
    elapsed = (time.monotonic() - start) / 60
    steps = samples // BATCH
    record = facts(model, seed=seed, steps=steps, samples=samples, minutes=elapsed, log=log, final=True)
    export(model, tokenizer, out, record)


def train_concepts(parquet: Path) -> list[Concept]:
    """Read the concepts of the train split."""
    columns = ["concept", "name", "keywords", "category", "kind"]
    table = pq.read_table(parquet, columns=columns, filters=[("split", "==", "train")])
    rows = {row["concept"]: row for row in table.to_pylist()}
    return [Concept.of_row(row) for row in rows.values()]


def train_tokenizer(taxonomy: Taxonomy, rng: random.Random) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on the training text: no text is unknown."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    corpus = []
    for concept in taxonomy.concepts:
        for view in all_views(concept, taxonomy, rng, yesno=2):
            corpus += [view.prompt, " " + view.answer]
        corpus += [" " + word for word in concept.keywords]
    backend.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        clean_up_tokenization_spaces=False,
        model_max_length=128,
    )


def configuration(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """Make the model's configuration: 2.2 M parameters."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=128,
        initializer_range=0.05,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def parameters(model: LlamaForCausalLM) -> list[dict]:
    """Group the parameters: weight decay on matrices only."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    decayed = {"params": matrices, "weight_decay": 0.05}
    return [decayed, {"params": vectors, "weight_decay": 0.0}]


def schedule(progress: float) -> float:
    """Scale the learning rate: a linear warm-up, then a cosine down to 2 %."""
    if progress < WARMUP:
        return max(progress / WARMUP, 0.01)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))


class Batches:
    """Draws samples and turns them into tensors."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> None:
        self.recipe, self.rng, self.eos = recipe, rng, tokenizer.eos_token_id
        self.encode = cache(lambda text: tuple(tokenizer(text)["input_ids"]))

    def chunks(self) -> list[tuple[list[Sample], bool]]:
        """Draw one batch: chunks of similar length, and whether each has a prefix."""
        samples = [self.recipe.sample(self.rng) for _ in range(BATCH)]
        bare = round(NO_PREFIX * BATCH)
        rest = sorted(samples[bare:], key=self.length)
        parts = [rest[i : i + CHUNK] for i in range(0, len(rest), CHUNK)]
        return [(samples[:bare], False), *((part, True) for part in parts)]

    def length(self, sample: Sample) -> int:
        """Count the tokens of a sample, without its prefix."""
        return len(self.encode(sample.view.prompt)) + len(self.encode(" " + sample.view.answer))

    def tokens(self, samples: list[Sample]) -> tuple[Tensor, Tensor]:
        """Make inputs [N, T] and their targets [N, T], −100 where there is none."""
        prompts = [self.encode(s.view.prompt) for s in samples]
        answers = [(*self.encode(" " + s.view.answer), self.eos) for s in samples]
        width = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True)) - 1
        inputs = torch.zeros(len(samples), width, dtype=torch.long)
        targets = torch.full((len(samples), width), -100)
        for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            ids = torch.tensor(prompt + answer)
            inputs[i, : len(ids) - 1] = ids[:-1]
            targets[i, len(prompt) - 1 : len(ids) - 1] = ids[len(prompt) :]
        return inputs, targets

    def prefix(self, samples: list[Sample], embedding: Tensor) -> Tensor:
        """Make prefixes [N, 4, D]: per slot the weighted mean word embedding at the embedding rms, plus
        noise."""
        ids: list[int] = []
        weights: list[float] = []
        offsets: list[int] = []
        for slot in (slot for sample in samples for slot in sample.slots):
            offsets.append(len(ids))
            for phrase, weight in slot:
                tokens = self.encode(" " + phrase)
                ids += tokens
                weights += [weight / len(tokens)] * len(tokens)
        slots = F.embedding_bag(
            torch.tensor(ids),
            embedding,
            torch.tensor(offsets),
            mode="sum",
            per_sample_weights=torch.tensor(weights),
        ).view(len(samples), SLOTS, -1)
        unit = embedding.detach().square().mean().sqrt()
        slots = slots * unit * torch.rsqrt(slots.square().mean(-1, keepdim=True) + 1e-8)
        noise = torch.tensor([s.noise for s in samples]).view(-1, 1, 1)
        scale = torch.tensor([s.scale for s in samples]).view(-1, 1, 1)
        # Half of the noise is common to a sample's slots: a projector's errors don't average out.
        drift = (torch.randn_like(slots) + torch.randn_like(slots[:, :1])) / math.sqrt(2)
        return (slots + noise * unit * drift) * scale


def train_step(
    model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, batches: Batches
) -> dict[str, float]:
    """Take a step on one batch; return the mean loss per answer token, with a prefix and without."""
    embedding = model.get_input_embeddings().weight
    chunks = [(*batches.tokens(part), part, with_prefix) for part, with_prefix in batches.chunks()]
    total = sum(int((targets >= 0).sum()) for _, targets, _, _ in chunks)
    sums = {True: [0.0, 0], False: [0.0, 0]}
    for inputs, targets, part, with_prefix in chunks:
        embedded = F.embedding(inputs, embedding)
        if with_prefix:
            embedded = torch.cat([batches.prefix(part, embedding), embedded], dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        wanted = targets >= 0
        hidden = hidden[:, -inputs.shape[1] :][wanted].float()
        loss = F.cross_entropy(model.lm_head(hidden), targets[wanted], reduction="sum")
        (loss / total).backward()
        sums[with_prefix][0] += loss.item()
        sums[with_prefix][1] += int(wanted.sum())
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return {
        "loss": sums[True][0] / sums[True][1],
        "loss_no_prefix": sums[False][0] / sums[False][1],
    }


def facts(
    model: LlamaForCausalLM,
    seed: int,
    steps: int,
    samples: int,
    minutes: float,
    log: list[dict],
    final: bool,
) -> dict:
    """What training.json says."""
    embedding = model.get_input_embeddings().weight.detach()
    recent = log[-5:] or [{"loss": math.nan, "loss_no_prefix": math.nan}]
    return {
        "final": final,
        "command": shlex.join(["python", *sys.argv]),
        "seed": seed,
        "steps": steps,
        "samples": samples,
        "wall_minutes": round(minutes, 1),
        "losses": {k: round(sum(r[k] for r in recent) / len(recent), 4) for k in ("loss", "loss_no_prefix")},
        "parameters": model.num_parameters(),
        "config": {key: getattr(model.config, key) for key in CONFIG_KEYS},
        "batch": BATCH,
        "peak_lr": PEAK_LR,
        "embedding_rms": round(embedding.square().mean().sqrt().item(), 5),
        "embedding_mean_norm": round(embedding.norm(dim=1).mean().item(), 4),
        "prefix_scale": "embedding rms x 2^U(-1, 2.5), noise U(0, 1) x embedding rms",
        "torch": torch.__version__,
    }


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path, record: dict) -> None:
    """Write a Hugging Face folder with fp16 weights."""
    out.mkdir(parents=True, exist_ok=True)
    config = LlamaConfig.from_dict(model.config.to_dict() | {"dtype": "float16"})
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(out)
    GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        max_new_tokens=24,
        do_sample=False,
    ).save_pretrained(out)
    tokenizer.save_pretrained(out)
    # The class's name in every transformers release; the newest writes its own alias for it.
    settings = json.loads((out / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    weights = {k: v.half().contiguous() for k, v in model.state_dict().items()}
    del weights["lm_head.weight"]  # tied to the embeddings
    (out / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
