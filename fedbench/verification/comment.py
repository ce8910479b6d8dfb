"""Verdicts written down: as rows of a table, and as a comment for a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fedbench.verification.ladder import Level, Verdict
from fedbench.verification.safety import quoted

MOST_ROWS = 100
"""Rows of a comment; it says how many more there are."""


def rows(verdicts: Sequence[Verdict], notes: Mapping[str, str]) -> list[dict[str, str]]:
    """A row for each file. ``notes`` says by record id why a sound record counts on no board."""
    return [
        {
            "file": quoted(str(verdict.path), 200),
            "level": verdict.level.name,
            "problem": quoted(verdict.problem, 300),
            "note": quoted(notes.get(verdict.run.id, ""), 300) if verdict.run else "",
        }
        for verdict in verdicts
    ]


def comment(verdicts: Sequence[Verdict], notes: Mapping[str, str], required: Level) -> str:
    """Markdown about ``verdicts``: files below the ``required`` level are listed, the others counted.

    Every word that comes from a submission is code, so that none is read as markup, a link or a mention.
    """
    bad = [verdict for verdict in verdicts if verdict.fails(required)]
    counts = Counter(verdict.level.name for verdict in verdicts)
    by_level = [f"{counts[level.name]} {level.name}" for level in reversed(Level) if counts[level.name]]
    result = (
        f"**{len(bad)} fall short of `{required.name}`.**"
        if bad
        else f"None falls short of `{required.name}`."
    )
    lines = ["### Records", "", f"{len(verdicts)} files: {', '.join(by_level) or 'none'}. {result}", ""]
    listed = [row for row in rows(bad, notes) if row["problem"]]
    if listed:
        lines += ["| file | level | what is wrong |", "|:--|:--|:--|"]
        for row in listed[:MOST_ROWS]:
            lines.append(f"| {_code(row['file'])} | {row['level']} | {_code(row['problem'])} |")
        lines += ["", f"… and {len(listed) - MOST_ROWS} more.", ""] if len(listed) > MOST_ROWS else [""]
    uncounted = Counter(row["note"] for row in rows(verdicts, notes) if row["note"])
    lines += [f"- {count} count on no board: {_code(why)}" for why, count in uncounted.most_common(MOST_ROWS)]
    return "\n".join(lines).strip() + "\n"


def _code(text: str) -> str:
    """Markdown code; :func:`quoted` has left no backtick and no bar in ``text``."""
    return f"`{text}`"
