"""Where files lie: a place of the user's own, or a repository on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import validate_repo_id

from fedbench import Unavailable, UsageError

Kind = Literal["model", "dataset"]

EXAMPLES: Mapping[Kind, str] = {"model": "Qwen/Qwen2-VL-2B-Instruct", "dataset": "lmms-lab/POPE"}
"""An id of each kind."""


def place(
    path: str,
    revision: str | None,
    kind: Kind,
    patterns: Sequence[str],
    *,
    local_files_only: bool,
    option: str,
) -> Path:
    """Find the folder of files that match ``patterns``, downloaded from the Hub if need be; or a file that is
    given itself.

    ``option`` is what a user sets to name another one. Raises :class:`UsageError` for a name of nothing,
    :class:`Unavailable` if the Hub can't give the files.
    """
    own = Path(path)
    if own.is_absolute() and (own.is_dir() or (own.is_file() and kind == "dataset")):
        return own
    if not _may_be_a_repository(path):
        raise UsageError(
            f"there is no folder {path!r}" if kind == "model" else f"there is no folder or file {path!r}",
            why="and it is not the id of a repository on the Hugging Face Hub either",
            fix=f"set {option} to a folder or an id such as {EXAMPLES[kind]}",
        )
    try:
        return Path(
            snapshot_download(
                path,
                repo_type=kind,
                revision=revision,
                allow_patterns=list(patterns),
                local_files_only=local_files_only,
            )
        )
    except Exception as error:
        reason = first_line(error)
        if isinstance(error, LocalEntryNotFoundError):
            reason = "it is not in the local cache, and the Hub was not reached"
        reason += "; here is no folder of that name either"
        command = f"hf download {path}"
        command += " --repo-type dataset" if kind == "dataset" else ""
        command += f" --revision {revision}" if revision else ""
        raise Unavailable(
            f"can't get the {kind} {path!r} from the Hugging Face Hub",
            why=reason,
            fix=f"where there is a network: {command} --local-dir FOLDER; then set its option path to FOLDER"
            f" (--set {option}=FOLDER)",
        ) from error


def first_line(error: Exception) -> str:
    """Shorten another library's error to its type and first line."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


def _may_be_a_repository(path: str) -> bool:
    try:
        validate_repo_id(path)
    except HFValidationError:
        return False
    return path.count("/") == 1
