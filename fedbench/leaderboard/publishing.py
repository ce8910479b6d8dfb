"""Publishing a built site: which files change at its target, and the rule that no published record is lost.

A publisher knows one kind of target. What may be published and overwritten is decided here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError
from fedbench.fingerprint import sha256_file
from fedbench.leaderboard.site.urls import COPIED, INDEX, SCRIPT, STYLE

OURS = (INDEX, "assets/", "boards/", "methods/", "scenarios/", f"{COPIED}/")
"""Beginnings of a site's paths; other files at its target stay."""


@dataclass(frozen=True)
class Changes:
    """Files, below the site's root, that publishing adds, changes and removes.

    >>> from fedbench import Changes
    >>> changes = Changes(added=("index.html",), changed=(), removed=())
    >>> bool(changes), changes.rows
    (True, [{'what': 'add', 'file': 'index.html'}])
    """

    added: tuple[str, ...]
    """Files that the target lacks."""
    changed: tuple[str, ...]
    """Files that the target has with another content."""
    removed: tuple[str, ...]
    """Files of an earlier site that this one does not have."""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def rows(self) -> list[dict[str, str]]:
        """A row for each file: ``what`` happens to it, and ``file``."""
        kinds = {"add": self.added, "change": self.changed, "remove": self.removed}
        return [{"what": what, "file": file} for what, files in kinds.items() for file in files]


class Publication(Protocol):
    """A site and the changes that publishing it would make at its target, which is only read until then.

    >>> from fedbench import Changes, Publication
    >>> class Printed:
    ...     changes = Changes(added=("index.html",), changed=(), removed=())
    ...     def push(self, message):
    ...         return "nowhere"
    >>> publication: Publication = Printed()
    """

    @property
    def changes(self) -> Changes:
        """What :meth:`push` would change."""
        ...

    def push(self, message: str) -> str:
        """Publish; return where it can be seen. :class:`FedbenchError` if the target refuses."""
        ...


class Publisher(Protocol):
    """What the factory of a ``PublisherSpec`` returns: it knows one kind of target.

    >>> from fedbench import Publisher
    >>> class Nowhere:
    ...     def __init__(self, target):
    ...         self.target = target
    ...     def prepare(self, site, scratch):
    ...         raise NotImplementedError
    >>> publisher: Publisher = Nowhere("target")
    """

    def prepare(self, site: Path, scratch: Path) -> Publication:
        """Read the target and compare the folder ``site`` with it, by :func:`site_changes`.

        ``scratch`` is an empty folder that lasts as long as the publication.
        """
        ...


def publisher(to: str, catalog: Catalog) -> Publisher:
    """Make the publisher that ``scheme:target`` names."""
    scheme, colon, target = to.partition(":")
    if not colon or not target:
        raise UsageError(f"can't publish to {to!r}", why="it is not of the form scheme:target")
    made: Publisher = catalog.publishers[scheme].create(target)
    return made


def site_changes(site: Path, there: Mapping[str, str]) -> Changes:
    """Compare the files of ``site`` with those at a target: which are new, different or gone.

    ``there`` maps each file at the target to its hash: git's of a blob, or a sha256. :class:`UsageError` if
    the target holds something else in the place of a site.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from fedbench import site_changes
    >>> with tempfile.TemporaryDirectory() as site:
    ...     written = Path(site, "index.html").write_text("hello")
    ...     site_changes(Path(site), there={}).added
    ('index.html',)
    """
    _check_replaceable(there)
    here = {path.relative_to(site).as_posix(): path for path in sorted(site.rglob("*")) if path.is_file()}
    return Changes(
        added=tuple(name for name in here if name not in there),
        changed=tuple(
            name for name in here if name in there and _hash(here[name], there[name]) != there[name]
        ),
        removed=tuple(sorted(name for name in there if name.startswith(OURS) and name not in here)),
    )


def _check_replaceable(there: Mapping[str, str]) -> None:
    """Refuse a target that holds other files where a site's pages would lie.

    A lone first page may be replaced, as a new static Space comes with one; for records see
    :func:`check_append_only`.
    """
    ours = tuple(name for name in OURS if name not in (INDEX, f"{COPIED}/"))
    in_the_way = sorted(name for name in there if name.startswith(ours))
    if in_the_way and not {STYLE, SCRIPT} <= there.keys():
        raise UsageError(
            "the target holds something else",
            why=f"it has {in_the_way[0]}, and no site of fedbench's: publishing would remove it",
            fix="publish to a branch or repository of its own",
        )


def check_append_only(changes: Changes) -> None:
    """Refuse changes that alter or remove a published record."""
    lost = [name for name in (*changes.removed, *changes.changed) if name.startswith(f"{COPIED}/")]
    if lost:
        raise FedbenchError(
            "the target has gone another way",
            why=f"it holds {len(lost)} records that are missing here or differ, the first is {lost[0]}",
            fix="take them over with `fedbench leaderboard add`, or publish elsewhere",
        )


def _hash(path: Path, like: str) -> str:
    """Hash a file as ``like`` was made: a sha256, or git's hash of a blob."""
    if len(like) == len(hashlib.sha256().hexdigest()):
        return sha256_file(path)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
