"""Write the page and the pictures of a finding from the committed records.

``python studies/report.py fed_cmp`` (or ``mor``) computes every number of ``docs/findings/fed-cmp.md``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click
import torch

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.plugins import Plugins
from fedbench.results.store import find_records, read_record
from fedbench.runner import Runner
from reporting import rendered
from results import Results
from study import FINDINGS

STUDIES = Path(__file__).parent
RECORDS = STUDIES.parent / "leaderboards" / "records"
PAGES = STUDIES.parent / "docs" / "findings"


@click.command()
@click.argument("finding", type=click.Choice(FINDINGS))
@click.option("--records", type=click.Path(path_type=Path, exists=True), default=RECORDS)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=PAGES, help="folder")
def main(finding: str, records: Path, out: Path) -> None:
    """Write ``FINDING.md`` and its pictures."""
    torch.set_num_threads(1)
    runner = Runner(Catalog(Plugins()), torch.device("cpu"))
    page, studies = import_module(f"{finding}.page"), import_module(f"{finding}.studies").STUDIES
    scenarios = {name for study in studies for name in study.scenarios}
    results = Results((read_record(path) for path in find_records([records])), runner.catalog, scenarios)
    path = out / f"{finding.replace('_', '-')}.md"
    text = rendered(STUDIES / finding / f"{path.name}.jinja", page.contents(results, runner))
    images = out / "images"
    images.mkdir(parents=True, exist_ok=True)
    page.pictures(results, images)
    path.write_text(text, encoding="utf-8")
    click.echo(path)


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        raise SystemExit(str(error)) from error
