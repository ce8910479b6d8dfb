"""The source code that a run's numbers come from: a version and a hash for each package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fedbench.fingerprint import sha256_bytes, sha256_json
from fedbench.plugins import Plugin

CORE = "fedbench"
CORE_DISTRIBUTION = "fedbench-suite"
NUMERICAL = (
    "alignment",
    "api",
    "builtins.py",
    "data",
    "evaluation",
    "federation",
    "models",
    "params.py",
    "preference",
    "rng.py",
    "runs",
)
"""What of the core can change a number; the command line, records and boards can't."""
CODE = frozenset({".py", ".so", ".pyd"})


@dataclass(frozen=True, kw_only=True)
class SourceCode:
    """The code of an import package."""

    package: str
    """The package's import name."""
    version: str
    """The version of the distribution that installs it."""
    sha256: str
    """The hash of its files' names and contents; for the core, of what can change a number."""


def source_code(plugins: Iterable[Plugin]) -> dict[str, SourceCode]:
    """The code of the core and of the packages that ``plugins`` live in, by package, sorted."""
    versions = {CORE: version(CORE_DISTRIBUTION)}
    versions |= {package: plugin.version for plugin in plugins if (package := _package(plugin))}
    return {
        package: SourceCode(package=package, version=versions[package], sha256=_sha256(package))
        for package in sorted(versions)
    }


def core_sha256() -> str:
    """The hash of the core's numerical code."""
    return _sha256(CORE)


def whole_core_sha256() -> str:
    """The hash of all the core's code."""
    return sha256_json({name: sha256_bytes(path.read_bytes()) for name, path in _files(CORE)})


def package_sha256(plugin: Plugin) -> str:
    """The hash of the code of the package that ``plugin`` lives in."""
    return _sha256(_package(plugin))


def _package(plugin: Plugin) -> str:
    """The top-level package of the module that the entry point names; empty for a scenario file's."""
    return plugin.module.partition(":")[0].partition(".")[0]


@cache
def _sha256(package: str) -> str:
    """Hash the files of a package; once a process, since it runs what it imported."""
    content = {name: sha256_bytes(path.read_bytes()) for name, path in _files(package)}
    if package == CORE:
        content = {name: sha for name, sha in content.items() if name.split("/")[0] in NUMERICAL}
    return sha256_json(content)


def _files(package: str) -> Iterator[tuple[str, Path]]:
    """The code files of a package, or of a module that stands alone, with their names in it."""
    spec = find_spec(package)
    if spec is None:
        return
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in sorted(folder.rglob("*")):
            if path.suffix in CODE and path.is_file():
                yield path.relative_to(folder).as_posix(), path
    if not spec.submodule_search_locations and spec.origin:
        yield Path(spec.origin).name, Path(spec.origin)
