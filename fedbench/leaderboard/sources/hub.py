"""Records in a data set of the Hugging Face Hub, a private one with one's own token."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from fedbench.errors import FedbenchError, UsageError
from fedbench.leaderboard.hub import hub_errors
from fedbench.leaderboard.sources.fetching import RecordSource, RemoteFile, fetched

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def fetch_hub(name: str) -> RecordSource:
    """The records of ``hf:USER/NAME``, a data set."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    repository = name.removeprefix("hf:").removeprefix("datasets/")
    user, _, short = repository.partition("/")
    if not user or not short or "/" in short:
        raise UsageError(f"{name} names no data set", fix="hf:USER/NAME")
    api = HfApi(library_name="fedbench")
    try:
        with hub_errors(repository):
            tip = str(api.repo_info(repository, repo_type="dataset").sha)
            return fetched(
                f"hf:{repository}",
                tip,
                partial(_list, api, repository, tip),
                partial(_fetch, api, repository, tip),
            )
    except UsageError:
        raise
    except FedbenchError as error:
        cause = error.__cause__
        if isinstance(cause, HFValidationError):
            raise UsageError(f"{name} names no data set", why=cause, fix="hf:USER/NAME") from error
        if isinstance(cause, RepositoryNotFoundError):
            why = "there is no such data set, or it is private"
            fix = "log in with `hf auth login`, or set HF_TOKEN to one that may read it"
            raise UsageError(f"can't read records from {name}", why=why, fix=fix) from error
        raise UsageError(f"can't read records from {name}", why=error) from error


class _OnTerminal(tqdm):  # type: ignore[type-arg]
    """A progress bar that is drawn on a terminal only."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "disable": None})


def _list(api: HfApi, repository: str, tip: str) -> Iterator[RemoteFile]:
    """The data set's files at commit ``tip``."""
    from huggingface_hub.hf_api import RepoFile

    for entry in api.list_repo_tree(repository, repo_type="dataset", recursive=True, revision=tip):
        if isinstance(entry, RepoFile):
            yield RemoteFile(path=PurePosixPath(entry.path), size=entry.size, id=entry.path)


def _fetch(
    api: HfApi, repository: str, tip: str, files: Mapping[PurePosixPath, RemoteFile], folder: Path
) -> None:
    """Download what may be ``files`` and move these below ``folder``."""
    names = {Path(file.id).name for file in files.values()}
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as download:
        api.snapshot_download(
            repository,
            repo_type="dataset",
            revision=tip,
            local_dir=download,
            tqdm_class=_OnTerminal,
            allow_patterns=[pattern for name in names for pattern in (name, f"*/{name}")],
        )
        for path, file in files.items():
            source = Path(download, file.id)
            if source.is_symlink() or not source.is_file() or source.stat().st_size != file.size:
                raise FedbenchError(f"the Hub did not give {file.id} of {repository} as it listed it")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            source.rename(folder / path)
