"""Options of whatever is read from files: where they lie."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fedbench import Location, Options

PATH = "a folder in Hugging Face format, or the id of a repository on the Hub"
REVISION = "branch, tag or commit of a repository on the Hub"


class Source(Options):
    """Options of a folder, or a repository on the Hub."""

    name: ClassVar[str]
    path: Location = Field(description=PATH)
    revision: str | None = Field(None, description=REVISION)
    local_files_only: bool = Field(False, description="take a repository from the local cache only")
