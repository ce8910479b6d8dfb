"""Every row of docs/failures.md is held by a test."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_row_of_the_page_names_a_test_that_is_there():
    page = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| example")]
    named = [re.search(r"\| `(test_\w+)` \|$", row) for row in rows]
    assert len(rows) > 40 and all(named), "a row without a test"
    there = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    assert not [match[1] for match in named if match and f"def {match[1]}(" not in there]
