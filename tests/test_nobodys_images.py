"""Images of no unit: they are asked about, and no partitioner deals them to a client."""

from pathlib import Path

import numpy as np
import pytest

from fedbench import AlignmentData, Item, Pair, Suite
from fedbench.catalog import Catalog
from fedbench.data.checks import check_data
from fedbench.data.partition import checked
from fedbench.plugins import Plugins

CATALOG = Catalog(Plugins())
DEALS = {
    "iid": {},
    "quantity": {},
    "dirichlet": {"label": "kind", "alpha": 5.0},
    "shards": {"label": "kind"},
    "natural": {"label": "kind"},
}


def data():
    """24 units to learn from and 6 to ask about, of two kinds; and 5 images of a public benchmark."""
    own = tuple(Item(image, "what?", "x", group=str(image)) for image in range(24, 30))
    public = tuple(Item(image, "what?", "y", group=str(image)) for image in range(30, 35))
    suites = (Suite("test", "own", "generate", own), Suite("public", "all", "generate", public))
    return AlignmentData(
        name="pets",
        image_fingerprint="0" * 64,
        images=list(range(35)),
        units=np.array([*range(30), *[-1] * 5]),
        pairs=tuple(Pair(image, "what?", "x") for image in range(24)),
        suites={suite.key: suite for suite in suites},
        labels={"kind": [str(unit % 2) for unit in range(30)]},
    )


@pytest.mark.parametrize(("name", "options"), DEALS.items())
def test_every_unit_is_dealt_and_no_other_image(name, options):
    made = data()
    check_data(made, "data 'pets'", CATALOG.forms)
    entry = CATALOG.partitioners[name]
    partition = checked(entry.create(entry.options(**options))(made, 2, Path()), made, 2, name)
    assert sorted(np.concatenate(partition.train)) == list(range(24))
    assert sorted(np.concatenate(partition.evaluation)) == list(range(24, 30))
    assert partition.client_of(-1) is None
    assert sorted(made.held_out_images) == list(range(24, 30))
