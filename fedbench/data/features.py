"""The feature cache: a frozen encoder's features of a set of images, computed once per machine.

An entry is a NumPy file named after what it depends on (encoder, images), memory-mapped by every
method, seed and round, written atomically under a lock, and checked before use.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path

from fedbench.errors import UsageError
from fedbench.files import atomic_path, locked, remove_partial, write_atomic
from fedbench.fingerprint import sha256_file, sha256_json

CACHE_VARIABLE = "FEDBENCH_CACHE"
"""The environment variable that names the cache folder."""

CONVERSION = 3
"""The way in which images are decoded and converted before they are encoded; raised when it changes."""

PROBE = 1_000_000
"""Bytes that must find room in the cache before anything is computed for it."""


def cache_folder() -> Path:
    """Return the folder for features and other things that are slow to make.

    It is ``$FEDBENCH_CACHE``, or the platform's user cache.

    >>> import os
    >>> from fedbench import cache_folder
    >>> os.environ["FEDBENCH_CACHE"] = "/tmp/fedbench"
    >>> cache_folder().as_posix()
    '/tmp/fedbench'

    Raises
    ------
    UsageError
        The variable is not set, and the user has no home.
    """
    named = os.environ.get(CACHE_VARIABLE)
    try:
        return Path(named).expanduser() if named else user_cache_path("fedbench")
    except RuntimeError as error:  # a user that the system does not know
        fix = f"set {CACHE_VARIABLE} to a folder you may write"
        raise UsageError("there is no folder for caches", why="this user has no home", fix=fix) from error


@cache
def library_folder(name: str) -> Path:
    """Return a folder for the files of a library, such as evaluate's; a temporary one if the cache can't be
    written."""
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(_temporary(name).name)


@cache
def _temporary(name: str) -> tempfile.TemporaryDirectory[str]:
    """A folder that lasts as long as the process."""
    return tempfile.TemporaryDirectory(prefix=f"fedbench-{name}-")


@contextmanager
def writing_cache(what: str, folder: Path) -> Iterator[None]:
    """Make an error of the system in the block a :class:`UsageError` that names the cache and its folder."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"can't write the {what}",
            where=folder,
            why=error.strerror or error,
            fix=f"set {CACHE_VARIABLE} to a folder you may write",
        ) from error


def _complete(path: Path) -> bool:
    """Whether an entry was written to its end: its note is written last."""
    return path.exists() and path.with_suffix(".json").exists()


@dataclass(frozen=True)
class FeatureCache:
    """A folder of features on disk that several processes may share."""

    folder: Path
    """Where the entries lie."""

    @classmethod
    def default(cls) -> FeatureCache:
        """Open the user's cache."""
        return cls(cache_folder() / "features")

    def path(self, encoder: str, images: str) -> Path:
        """Name the entry's file; ``encoder`` and ``images`` are fingerprints."""
        key = {"encoder": encoder, "images": images, "conversion": CONVERSION}
        return self.folder / f"{sha256_json(key)[:32]}.npy"

    def get(
        self,
        encoder: str,
        images: str,
        compute: Callable[[], Sequence[np.ndarray]],
        say: Callable[[str], None] = lambda line: None,
    ) -> np.ndarray:
        """Read the features [N, T, F] of a set of images, memory-mapped; compute and store them if need be.

        ``compute`` gives them in parts [n, T, F], which may be memory-mapped. ``encoder`` and ``images`` are
        fingerprints; ``say`` gets a line when another process has to be waited for. An entry that is there
        needs no folder that can be written. Raises :class:`UsageError` if the folder can't be written or the
        entry is damaged.
        """
        path = self.path(encoder, images)
        if not _complete(path):
            lock = path.with_suffix(".lock")
            with self._writing():
                self.folder.mkdir(parents=True, exist_ok=True)
                held = locked(
                    lock, lambda: say(f"waiting for another process that encodes the images ({lock})")
                )
            with held:
                if not _complete(path):
                    parts = compute()
                    with self._writing():
                        remove_partial(self.folder, path.stem)
                        self._store(path, parts)
                        shutil.rmtree(self._parts(encoder, images), ignore_errors=True)
        return self._load(path)

    def kept(self, encoder: str, images: str) -> list[np.ndarray]:
        """Read the parts [n, T, F] that an earlier attempt at :meth:`get` has computed, in their order."""
        parts: list[np.ndarray] = []
        while (path := self._parts(encoder, images) / f"{len(parts):06d}.npy").exists():
            try:
                parts.append(np.load(path, mmap_mode="r", allow_pickle=False))
            except (OSError, ValueError):
                break
        return parts

    def keep(self, encoder: str, images: str, number: int, part: np.ndarray) -> np.ndarray:
        """Keep part ``number`` [n, T, F], so that it isn't computed again if a later one fails; the same,
        memory-mapped."""
        path = self._parts(encoder, images) / f"{number:06d}.npy"
        with self._writing(), atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, part)
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def forget(self, encoder: str, images: str) -> None:
        """Remove the features of a set of images, so that they are computed anew."""
        path = self.path(encoder, images)
        with self._writing(), FileLock(path.with_suffix(".lock")):
            shutil.rmtree(self._parts(encoder, images), ignore_errors=True)
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def check(self, encoder: str, images: str) -> None:
        """Refuse (:class:`UsageError`) a folder that can't be written, unless the entry is there."""
        if not _complete(self.path(encoder, images)):
            with self._writing():
                self.folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.folder) as file:
                    file.write(bytes(PROBE))
                    file.flush()

    def check_space(self, need: int) -> None:
        """Refuse (:class:`UsageError`) to begin what needs more bytes than are free."""
        free = shutil.disk_usage(self.folder).free
        if free < need:
            raise UsageError(
                "the images' features don't fit the feature cache",
                where=self.folder,
                why=f"they need {need / 1e6:,.1f} MB while they are made, {free / 1e6:,.1f} MB are free",
                fix=f"set {CACHE_VARIABLE} to a folder on a larger disk",
            )

    def _writing(self) -> AbstractContextManager[None]:
        return writing_cache("feature cache", self.folder)

    def _parts(self, encoder: str, images: str) -> Path:
        return self.path(encoder, images).with_suffix(".parts")

    def _store(self, path: Path, parts: Sequence[np.ndarray]) -> None:
        shape = (sum(map(len, parts)), *parts[0].shape[1:])
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype=np.float32).data)
        note = {"sha256": sha256_file(path), "bytes": path.stat().st_size, "shape": shape}
        write_atomic(path.with_suffix(".json"), json.dumps(note))

    def _load(self, path: Path) -> np.ndarray:
        try:
            note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            if sha256_file(path) != note["sha256"]:
                raise ValueError("its content does not match its checksum")
            # Copy-on-write: pages are shared between processes, and torch may wrap the array.
            return np.load(path, mmap_mode="c", allow_pickle=False)  # type: ignore[no-any-return]
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(
                "the feature cache is damaged",
                where=path,
                why=error,
                fix=f"delete {path}; it is made again on the next run",
            ) from error

    def size(self) -> tuple[int, int]:
        """Count the entries and their bytes."""
        files = list(self.folder.glob("*.npy")) if self.folder.is_dir() else []
        return len(files), sum(file.stat().st_size for file in files)
