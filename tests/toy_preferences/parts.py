"""What the hooks promise: a backbone that can see, and preferences over images of one colour each."""

from dataclasses import replace

import numpy as np
from fedbench_emoji.backbone import nano
from PIL import Image

from fedbench import Item, Preference, PreferenceData, Projector, Suite, numpy_stream, torch_stream

TASKS = {"kind": ("food", "animals"), "place": ("flags", "symbols"), "sport": ("objects", "activities")}
PROMPT = "which category?"


def seeing(options):
    """The nano backbone with a projector that nobody has trained."""
    backbone = nano(options)
    projector = Projector(112, 16, backbone.width)
    start = 3 * projector.init(torch_stream(0, "toy projector"))
    return replace(backbone, name="seeing", fingerprint=backbone.fingerprint[:-1] + "0", projector=start)


def colours(options):
    """Per task 24 pairs, 6 queries, 8 comparisons and 6 test items, an image each; held-out items besides."""
    images, units, labels = [], [], []
    found = {"pairs": [], "queries": [], "comparisons": [], "own": [], "held-out": []}
    for task, (left, right) in [*TASKS.items(), ("unknown", ("food", "flags"))]:
        stream = numpy_stream(0, "colours", task)
        counts = {"held-out": 6} if task == "unknown" else dict(zip(found, (24, 6, 8, 6), strict=False))
        for part, count in counts.items():
            for number in range(count):
                bright = number % 2
                colour = stream.integers(0, 80, 3) + 150 * np.eye(3, dtype=int)[len(task) % 3] * bright
                image, (good, bad) = len(images), (left, right) if bright else (right, left)
                images.append(Image.new("RGB", (64, 64), tuple(int(c) for c in colour)))
                labels.append(task)
                units.append(image)
                pair, item = Preference(image, PROMPT, good, bad), Item(image, PROMPT, good, str(image))
                found[part].append(pair if part in ("pairs", "comparisons") else item)
    suites = [
        Suite("test", "own", "generate", tuple(found["own"])),
        Suite("test", "held-out", "generate", tuple(found["held-out"])),
    ]
    return PreferenceData(
        name="colours", image_fingerprint="colours-1", images=images, units=np.array(units),
        pairs=tuple(found["pairs"]), suites={suite.key: suite for suite in suites},
        labels={"task": labels}, queries=tuple(found["queries"]), comparisons=tuple(found["comparisons"]),
    )  # fmt: skip
