"""The identity of a run: all that can change a number beside scenario, method, options and seed."""

from __future__ import annotations

from pydantic import Field

from fedbench.results.section import RecordSection

CONTENT = ("data", "partition", "backbone")
"""What a run works on, in the order in which differences are named."""


class PackageCode(RecordSection):
    """The code of a package that had a part in the run's numbers."""

    version: str = Field(description="the package's version")
    sha256: str = Field(description="hash of its numerical source")


class Identity(RecordSection):
    """All that can change a number beside scenario, options and seed. Each field is null where the run did
    not record it."""

    code: dict[str, PackageCode] | None = Field(
        None, description="by package: fedbench's core and whatever provided a part of the run"
    )
    data_sha256: str | None = Field(None, description="hash of the data's content: pixels and texts")
    partition_sha256: str | None = Field(None, description="hash of which client has which examples")
    backbone_sha256: str | None = Field(None, description="hash of the backbone's weights and tokenizer")
    device_class: str | None = Field(
        None, description="kind of device; for a CPU, its vendor and instruction set"
    )
    dtype: str | None = Field(None, description="dtype of the clients' work")
    executor: str | None = Field(None, description="how clients' work was run: serial, batched or workers")
    chunk: int | None = Field(None, description="clients trained at a time")
    threads: int | None = Field(None, description="threads of the CPU")
    numerics: int | None = Field(
        None, description="number that is raised whenever a change of fedbench changes bits"
    )


def changed_code(old: Identity | None, new: Identity) -> str:
    """Name the first package whose code differs, and how; empty if none does or ``old`` has no code."""
    before, now = (identity.code if identity else None for identity in (old, new))
    if before is None or now is None:
        return ""
    for package in sorted(before.keys() | now.keys()):
        was, present = before.get(package), now.get(package)
        if was is None:
            return f"without {package}, which has a part in it now"
        if present is None:
            return f"with {package}, which has no part in it now"
        if was.sha256 != present.sha256:
            if was.version != present.version:
                return f"with {package} {was.version}, which is {present.version} now"
            return f"with other code of {package} {was.version} ({was.sha256[:8]}, now {present.sha256[:8]})"
    return ""


def changed_content(old: Identity | None, new: Identity) -> str:
    """Name the first of data, partition and backbone whose content differs; empty if none is known to."""
    if old is None:
        return ""
    for what in CONTENT:
        was, present = (getattr(identity, f"{what}_sha256") for identity in (old, new))
        if was and present and was != present:
            return f"with other content of its {what} ({was[:8]}, now {present[:8]})"
    return ""
