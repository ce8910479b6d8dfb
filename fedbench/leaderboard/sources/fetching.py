"""Fetching the records of a remote source into the cache.

Only plain files called ``record.json`` and one ``verified.json`` are taken, bounded in number and size, into
the cache below the commit they are of: the same commit is fetched once. Nothing of them is run or followed.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fedbench.data.features import cache_folder
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_json
from fedbench.git import without_password
from fedbench.results.parsing import MOST_BYTES
from fedbench.results.store import RECORD
from fedbench.verification.badges import BADGES
from fedbench.verification.submission import DEEPEST, MOST_FILES

MOST_IN_ALL = 1_000_000_000
"""Bytes that the records of one remote source may have together."""

PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")
"""A folder's name on the way to a record; others are passed over."""


@dataclass(frozen=True)
class RecordSource:
    """A folder of records and the file of badges that counts for them, and for no other's.

    ``name`` is what the user called it, without a password. ``remote`` says that the folder is a copy.
    """

    name: str
    folder: Path
    badges: Path
    remote: bool = False


@dataclass(frozen=True)
class RemoteFile:
    """A plain file of a remote source: its path there, its size in bytes and what fetches it."""

    path: PurePosixPath
    size: int
    id: str


Fetch = Callable[[Mapping[PurePosixPath, RemoteFile], Path], None]
"""Writes remote files to their paths below a folder."""


def fetched(
    name: str, commit: str, list_files: Callable[[], Iterable[RemoteFile]], fetch: Fetch
) -> RecordSource:
    """The records of remote ``name`` at ``commit``, from the cache if they were fetched before."""
    shown = without_password(name)
    home = cache_folder() / "records" / sha256_json(name)[:16] / commit
    if not home.is_dir():
        records, badges = _selected(shown, list_files())
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=home.parent) as temporary:
            new = Path(temporary, "new")
            (new / "records").mkdir(parents=True)
            fetch(records, new / "records")
            if badges is not None:
                fetch({PurePosixPath(BADGES): badges}, new)
            try:
                new.rename(home)
            except OSError:  # another process has fetched it meanwhile
                if not home.is_dir():
                    raise
        for older in home.parent.iterdir():
            if older != home and not older.name.startswith("."):
                shutil.rmtree(older, ignore_errors=True)
    return RecordSource(name=shown, folder=home / "records", badges=home / BADGES, remote=True)


def _selected(
    name: str, files: Iterable[RemoteFile]
) -> tuple[dict[PurePosixPath, RemoteFile], RemoteFile | None]:
    """The record files among ``files`` by path, and the file of badges that is nearest to the root."""
    wanted = [file for file in files if file.path.name in (RECORD, BADGES) and _harmless(file.path)]
    records = {file.path: file for file in wanted if file.path.name == RECORD}
    badges = [file for file in wanted if file.path.name == BADGES]
    if not records:
        why = f"it has no {RECORD} in folders SCENARIO/METHOD/seed-N"
        raise UsageError(f"no records in {name}", why=why)
    if len(records) > MOST_FILES:
        raise UsageError(f"too many records in {name}", why=f"{len(records)}, the limit is {MOST_FILES}")
    for file in wanted:
        if file.size > MOST_BYTES:
            why = f"{file.path} has {file.size / 1e6:.0f} MB, the limit is {MOST_BYTES / 1e6:.0f}"
            raise UsageError(f"too large a file in {name}", why=why)
    total = sum(file.size for file in wanted)
    if total > MOST_IN_ALL:
        why = f"{total / 1e6:.0f} MB, the limit is {MOST_IN_ALL / 1e6:.0f}"
        raise UsageError(f"too many bytes of records in {name}", why=why)
    nearest = min(badges, key=lambda file: (len(file.path.parts), file.path), default=None)
    return dict(sorted(records.items())), nearest


def _harmless(path: PurePosixPath) -> bool:
    """Whether ``path`` stays in its folder and looks like that of a record."""
    return len(path.parts) <= DEEPEST and all(PART.fullmatch(part) for part in path.parts)
