"""What missing images and texts cost, and whom: ``tune-modality`` beside the same clients with all parts.

``python studies/modality_cost.py`` reads the committed records. Clients hold the same examples and test items
in both, so that a difference is one of the same client; intervals are over seeds.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from tabulate import tabulate

from fedbench.results.records import Record
from fedbench.results.statistics import interval
from fedbench.results.store import find_records, read_record
from reporting import text

RECORDS = Path(__file__).parent.parent / "leaderboards" / "records"
SCENARIO, COMPLETE = "tune-modality", {"modality.image_text", "modality.image_only", "modality.text_only"}


def kind(record: Record, client: int) -> str:
    """What client ``client`` lacks."""
    if (record.data.without_image or [0] * (client + 1))[client]:
        return "no images"
    return "no texts" if (record.data.without_text or [0] * (client + 1))[client] else "both"


@click.command()
@click.option("--records", type=click.Path(path_type=Path, exists=True), default=RECORDS)
def main(records: Path) -> None:
    """Print the table of ``docs/findings/lora.md``."""
    lacking: dict[tuple[str, int], Record] = {}
    whole: dict[tuple[str, int], Record] = {}
    for path in find_records([records]):
        record = read_record(path)
        if record.scenario.name == SCENARIO and set(record.scenario.changes or {}) in (set(), COMPLETE):
            place = whole if record.scenario.changes else lacking
            place[record.method.name, record.seed] = record
    costs: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for (method, seed), complete in sorted(whole.items()):
        record = lacking[method, seed]
        now, before = record.rounds[-1], complete.rounds[-1]
        primary = record.primary
        costs[method]["all"][seed] = now.metrics[primary].value - before.metrics[primary].value
        own = defaultdict(list)
        for client, measure in now.clients.items():
            own[kind(record, int(client))].append(measure.value - before.clients[client].value)
        for name, values in own.items():
            costs[method][name][seed] = float(np.mean(values))
    rows = [
        {
            "method": method,
            **{name: text(interval([*costs[method][name].values()])) for name in sorted(costs[method])},
        }
        for method in costs
    ]
    click.echo(tabulate(rows, headers="keys", tablefmt="github"))


if __name__ == "__main__":
    main()
