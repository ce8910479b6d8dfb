"""A static Space or a dataset of the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbench.errors import UsageError
from fedbench.leaderboard.hub import hub_errors
from fedbench.leaderboard.publishing import Changes, site_changes

KINDS = {"spaces": "space", "datasets": "dataset"}


class HubPublisher:
    """Publishes to a static Space, ``hf:USER/NAME``, or to a data set, ``hf:datasets/USER/NAME``."""

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
        """Read which files the repository has; ``scratch`` is not used."""
        from huggingface_hub.errors import RepositoryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        where: dict[str, Any] = {"repo_id": self.name, "repo_type": self.kind}
        there: dict[str, str] = {}
        with hub_errors(self.name):
            try:
                tip = self.api.repo_info(**where).sha
                for entry in self.api.list_repo_tree(**where, recursive=True, revision=tip):
                    if isinstance(entry, RepoFile):
                        there[entry.path] = entry.lfs.sha256 if entry.lfs else entry.blob_id
            except RepositoryNotFoundError:  # or a private one of another user: then the push is refused
                tip = None
        return HubPublication(
            api=self.api, where=where, site=site, tip=tip, changes=site_changes(site, there)
        )


@dataclass(frozen=True)
class HubPublication:
    """The repository at commit ``tip`` (None if it is not there yet) and the site as what comes next."""

    api: Any
    where: dict[str, Any]
    site: Path
    tip: str | None
    changes: Changes

    def push(self, message: str) -> str:
        """Make the repository if it is not there and commit the site; the commit's address."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        put = (*self.changes.added, *self.changes.changed)
        operations = [
            *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=self.site / name) for name in put),
            *(CommitOperationDelete(path_in_repo=name) for name in self.changes.removed),
        ]
        with hub_errors(self.where["repo_id"]):
            if self.tip is None:
                sdk = {"space_sdk": "static"} if self.where["repo_type"] == "space" else {}
                self.api.create_repo(**self.where, **sdk)
            done = self.api.create_commit(
                **self.where, operations=operations, commit_message=message, parent_commit=self.tip
            )
        return str(done.commit_url)
