"""What verification found: as rows, and as a comment for a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fedbench.verification.ladder import Level, Verdict
from fedbench.verification.safety import shown

MOST_ROWS = 100
"""Of a comment; a summary says how many more there are."""


def rows(verdicts: Sequence[Verdict], notes: Mapping[str, str]) -> list[dict[str, str]]:
    """A row for each file. ``notes`` says by record id why a sound record counts on no board."""
    return [
        {
            "file": shown(str(verdict.path), 200),
            "level": verdict.level.name,
            "problem": shown(verdict.problem, 300),
            "note": shown(notes.get(verdict.run.id, ""), 300) if verdict.run else "",
        }
        for verdict in verdicts
    ]


def comment(verdicts: Sequence[Verdict], notes: Mapping[str, str], asked: Level) -> str:
    """Markdown in which every word that comes from a submission is code, so that none of it is read as
    markup, a link or a mention. Files that are fine are counted, not listed."""
    bad = [verdict for verdict in verdicts if verdict.fails(asked)]
    counts = Counter(verdict.level.name for verdict in verdicts)
    found = ", ".join(f"{counts[level.name]} {level.name}" for level in reversed(Level) if counts[level.name])
    outcome = (
        f"**{len(bad)} fall short of `{asked.name}`.**" if bad else f"None falls short of `{asked.name}`."
    )
    lines = ["### Records", "", f"{len(verdicts)} files: {found or 'none'}. {outcome}", ""]
    listed = [row for row in rows(bad, notes) if row["problem"]]
    if listed:
        lines += ["| file | level | what is wrong |", "|:--|:--|:--|"]
        for row in listed[:MOST_ROWS]:
            lines.append(f"| {_code(row['file'])} | {row['level']} | {_code(row['problem'])} |")
        lines += ["", f"… and {len(listed) - MOST_ROWS} more.", ""] if len(listed) > MOST_ROWS else [""]
    unseen = Counter(row["note"] for row in rows(verdicts, notes) if row["note"])
    lines += [f"- {count} count on no board: {_code(why)}" for why, count in unseen.most_common(MOST_ROWS)]
    return "\n".join(lines).strip() + "\n"


def _code(text: str) -> str:
    """``shown`` has left no backtick and no bar."""
    return f"`{text}`"
