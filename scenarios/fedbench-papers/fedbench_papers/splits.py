"""Splits by image: an image of one split is in no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fedbench import UsageError, derive, suggest
from fedbench_papers.options import DataOptions

TRAIN, HELD_OUT = "train", "held-out"


def deal(
    options: DataOptions,
    images: Mapping[str, Iterable[str]],
    clients: Sequence[str],
    held_out: Sequence[str],
    shares: Mapping[str, float],
) -> dict[str, str]:
    """Assign every image (its hash) of each label to a split: "train" for what ``shares`` of the whole leave.

    An image that several labels have is dealt with the first; held-out labels get what is left.
    """
    split: dict[str, str] = {}
    for label in (*clients, *held_out):
        free = {image for image in images.get(label, ()) if image not in split}
        # The order is the images' own, not the rows': it survives another order of the files.
        kept = sorted(free, key=lambda image: derive(options.seed, "split", image))[: options.per_client]
        if not kept:
            raise UsageError(
                f"data {options.name!r} has no image of {label!r} that no other label took",
                fix=suggest(label, images),
            )
        if label in held_out:
            split |= dict.fromkeys(kept, HELD_OUT)
            continue
        total = len(kept)
        for name, share in shares.items():
            count = max(1, round(share * total))
            split |= dict.fromkeys(kept[:count], name)
            kept = kept[count:]
            if not kept:
                more = "take another label" if options.per_client is None else "raise per_client"
                raise UsageError(
                    f"data {options.name!r} has too few images of {label!r}",
                    why=f"{', '.join(shares)} and the clients need at least one each",
                    fix=f"{more}, or lower {' or '.join(shares)}",
                )
        split |= dict.fromkeys(kept, TRAIN)
    return split
