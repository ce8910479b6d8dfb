"""Write ``SHA256SUMS.json``, the sha256 of every asset file: run it last.

python build/sums.py fedbench_emoji/assets
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import click

SUMS = "SHA256SUMS.json"


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
def main(folder: Path) -> None:
    """Run the command."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != SUMS)
    sums = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    (folder / SUMS).write_text(json.dumps(sums, indent=1) + "\n")


if __name__ == "__main__":
    main()
