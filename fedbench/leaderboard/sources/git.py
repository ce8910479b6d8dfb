"""Records on a branch of a git remote. Needs the ``git`` command.

One commit is fetched into an empty repository and the files are read from its objects: nothing is checked
out, so that no hook, filter, submodule or link of the remote's comes into play.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from fedbench.errors import FedbenchError, UsageError
from fedbench.git import HARMLESS, is_branch, without_password
from fedbench.leaderboard.repository import Repository
from fedbench.leaderboard.sources.fetching import RecordSource, RemoteFile, fetched

GUARDED = (
    *HARMLESS,
    *("-c", "protocol.ext.allow=never"),
    *("-c", "fetch.fsckObjects=true"),
    *("-c", "fetch.recurseSubmodules=false"),
)
"""Settings under which a remote can neither name programs nor send malformed objects."""

MOST_FETCHED = 2_000_000_000
"""Bytes of a fetched commit on disk, with all that is no record."""

PLAIN_FILES = ("100644", "100755")
"""Modes of a tree's entries that are files: no links, no submodules."""

AT_ONCE = 64
"""Files read from the repository by one command."""


def fetch_git(name: str) -> RecordSource:
    """The records of ``git:REMOTE[#BRANCH]``, the remote's own branch when absent."""
    remote, hash_sign, branch = name.removeprefix("git:").partition("#")
    if not remote or remote.startswith("-"):
        raise UsageError(f"{without_password(name)} names no remote", fix="git:REMOTE[#BRANCH]")
    if hash_sign and not is_branch(branch):
        raise UsageError(without_password(name), why=f"{branch!r} is no name for a branch")
    if Path(remote).exists():
        remote = str(Path(remote).resolve())
    ref = f"refs/heads/{branch}" if branch else "HEAD"
    with tempfile.TemporaryDirectory(prefix="fedbench-git-") as scratch:
        repository = Repository(folder=Path(scratch), work_tree=Path(scratch), settings=GUARDED)
        try:
            repository.create()
            tip = repository.tip(remote, ref)
            if not tip:
                why = f"it has no branch {branch}" if branch else "it is empty"
                raise UsageError(f"no records in {without_password(name)}", why=why)
            return fetched(name, tip, partial(_list, repository, remote, ref), partial(_fetch, repository))
        except UsageError:
            raise
        except FedbenchError as error:
            fix = "a private one needs git's own credentials; no password is asked for here"
            raise UsageError(
                f"can't read records from {without_password(name)}", why=error, fix=fix
            ) from error


def _list(repository: Repository, remote: str, ref: str) -> Iterator[RemoteFile]:
    """Fetch the tip of ``ref`` and list its plain files."""
    repository.fetch(remote, ref, check=partial(_check_size, repository.folder))
    listing = repository.run(["ls-tree", "-r", "-l", "-z", "--full-tree", "FETCH_HEAD"])
    for line in listing.split("\0"):
        entry, _, path = line.partition("\t")
        if path and (fields := entry.split())[0] in PLAIN_FILES:
            yield RemoteFile(path=PurePosixPath(path), size=int(fields[3]), id=fields[2])


def _check_size(folder: Path) -> None:
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MOST_FETCHED:
        raise FedbenchError("it is too large", why=f"more than {MOST_FETCHED / 1e9:g} GB")


def _fetch(repository: Repository, files: Mapping[PurePosixPath, RemoteFile], folder: Path) -> None:
    """Write ``files`` below ``folder``, from the repository's objects."""
    wanted = list(files.items())
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        names = "".join(f"{file.id}\n" for _, file in part)
        out = repository.run_bytes(["cat-file", "--batch"], stdin=names.encode())
        for path, file in part:
            header, _, out = out.partition(b"\n")
            if header.split() != [file.id.encode(), b"blob", str(file.size).encode()]:
                raise FedbenchError("git cat-file gave another object", where=path)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(out[: file.size])
            out = out[file.size + 1 :]
