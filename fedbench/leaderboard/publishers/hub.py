"""A static Space or a dataset of the Hugging Face Hub.

The token is huggingface_hub's own business: the one of ``hf auth login``, or ``HF_TOKEN``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbench.errors import FedbenchError, UsageError
from fedbench.leaderboard.publishing import Changes, compare

KINDS = {"spaces": "space", "datasets": "dataset"}


class HubPublisher:
    """``hf:USER/NAME`` or ``hf:spaces/USER/NAME`` for a static Space, ``hf:datasets/USER/NAME``."""

    def __init__(self, target: str) -> None:
        from huggingface_hub import HfApi

        *kind, user, name = target.split("/") if target.count("/") in (1, 2) else ("", "", "", "")
        self.kind = KINDS.get(kind[0] if kind else "spaces", "")
        if not (self.kind and user and name):
            fix = "hf:USER/NAME (a static Space) or hf:datasets/USER/NAME"
            raise UsageError(f"hf:{target} names no Space or dataset", fix=fix)
        self.name = f"{user}/{name}"
        self.api = HfApi(library_name="fedbench")

    def prepare(self, site: Path, scratch: Path) -> HubPublication:
        from huggingface_hub.errors import RepositoryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        where: dict[str, Any] = {"repo_id": self.name, "repo_type": self.kind}
        there: dict[str, str] = {}
        with _explained(self.name):
            try:
                tip = self.api.repo_info(**where).sha
                for found in self.api.list_repo_tree(**where, recursive=True, revision=tip):
                    if isinstance(found, RepoFile):
                        there[found.path] = found.lfs.sha256 if found.lfs else found.blob_id
            except (
                RepositoryNotFoundError
            ):  # a private one of somebody else's looks the same: making it tells
                tip = None
        return HubPublication(self.api, where, site, tip, compare(site, there))


@dataclass(frozen=True)
class HubPublication:
    """The repository at commit ``tip`` (None if it is not there yet) and the site as what comes next."""

    api: Any
    where: dict[str, Any]
    site: Path
    tip: str | None
    changes: Changes

    def push(self, message: str) -> str:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        put = (*self.changes.added, *self.changes.changed)
        operations = [
            *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=self.site / name) for name in put),
            *(CommitOperationDelete(path_in_repo=name) for name in self.changes.removed),
        ]
        with _explained(self.where["repo_id"]):
            if self.tip is None:
                sdk = {"space_sdk": "static"} if self.where["repo_type"] == "space" else {}
                self.api.create_repo(**self.where, **sdk)
            done = self.api.create_commit(
                **self.where, operations=operations, commit_message=message, parent_commit=self.tip
            )
        return str(done.commit_url)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """What the Hub says no with, as one line; such an error never holds the token."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 412:
            fix = "somebody published meanwhile: publish again; nothing was forced"
            raise FedbenchError(
                f"{name} has diverged", why="its last commit is a newer one", fix=fix
            ) from error
        fix = (
            "log in with `hf auth login`, or set HF_TOKEN to one that may write there"
            if status in (401, 403)
            else ""
        )
        why = f"HTTP {status}: {error.server_message or 'no reason given'}"
        raise FedbenchError(f"the Hub refuses {name}", why=why, fix=fix) from error
    except (OSError, HTTPError) as error:
        raise FedbenchError(
            f"can't reach the Hub for {name}", why=f"{type(error).__name__}: {error}"
        ) from error
    except (RuntimeError, ValueError) as error:  # an upload beside git, which was given up
        why = f"{error} ({type(error.__cause__ or error).__name__})"
        raise FedbenchError(f"the Hub did not take all files of {name}", why=why) from error
