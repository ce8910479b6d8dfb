"""Result files: what was measured, by which command, on what machine. One row a figure."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from fedbench.environment import describe

RESULTS = Path(__file__).parent / "results"


def row(group, name, values, unit, **more):
    """A figure: the median of ``values``, their least and greatest; ``more`` is anything else of it."""
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    spread = {"low": ordered[0], "high": ordered[-1], "n": len(ordered)}
    return {"group": group, "name": name, "value": middle, "unit": unit, **spread, **more}


def write(path, what, command, rows):
    """Write a result file."""
    machine = {key: describe()[key] for key in ("processor", "platform", "python")} | {
        "cores": os.cpu_count()
    }
    content = {
        "what": what,
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "rows": rows,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
