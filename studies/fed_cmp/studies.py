"""The runs behind the finding about Fed-CMP: the paper's matrix, ablations, other readings, local steps."""

from __future__ import annotations

from functools import partial
from itertools import product

from study import Study

SCENARIOS = ("emoji-tt", "emoji-cross", "emoji-ii", "emoji-joint")
PAPER = (
    "fedavg",
    "fed-cmp",
    "fedavg-ties",
    "fedavg-dare",
    "fedavg-ta",
    "fedprox",
    "fedadam",
    "moon",
    "local",
)
ANCHORS = ("start", "centralized")

look = partial(Study, scenarios=("emoji-ii",), methods=("fed-cmp",))
"""A study of the method on the scenario that is looked at closely."""

CORNERS = [
    look(options=dict(zip(("csc", "rwf", "opm"), switches, strict=True)))
    for switches in product([False, True], repeat=3)
    if not all(switches)
]
OPTIONS = [
    look(options=options)
    for options in (
        {"target": "updates"},
        {"align": "match"},
        {"beta_rule": "shift"},
        {"beta_rule": "fixed", "beta": 0.1},
        {"rank": 16},
        {"rank": 64},
        {"alpha": 0.5},
        {"alpha": 2.0},
        {"opm": False, "fuse": "ties"},
        {"opm": False, "fuse": "ties", "target": "updates"},
    )
]
SERVER_STEP = look(methods=("fedavgm",), options={"beta": 0.0, "eta": 0.2})
"""FedAvg that goes a fifth of the way each round: what momentum with β = 0.8 comes to on raw weights."""
SMALL_STEP = look(methods=("fedadam",), options={"eta": 1e-3})
"""The paper's server learning rate."""
BOTH = ("fedavg", "fed-cmp")
STEPS = [
    look(methods=BOTH, changes=changes)
    for changes in (
        {"federation.rounds": 3},
        {"federation.rounds": 30},
        {"training.batch_size": 4},
        {"training.batch_size": 64},
    )
]
MAIN = [Study((name,), (*PAPER, *ANCHORS), seeds=5) for name in SCENARIOS]
STUDIES = [*MAIN, *CORNERS, *OPTIONS, SERVER_STEP, SMALL_STEP, *STEPS]
