"""The feature cache: a frozen encoder's features of a set of images, computed once per machine.

An entry is a NumPy file named after what it depends on (encoder, images), memory-mapped by every
method, seed and round, written atomically under a lock, and checked before use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path

from fedbench.errors import UsageError
from fedbench.files import atomic_path, remove_partial, write_atomic
from fedbench.fingerprint import sha256_file, sha256_json

CACHE_VARIABLE = "FEDBENCH_CACHE"
"""The environment variable that names the cache folder."""


def cache_folder() -> Path:
    """Return the folder for features and other things that are slow to make.

    It is ``$FEDBENCH_CACHE``, or the platform's user cache.

    >>> import os
    >>> from fedbench import cache_folder
    >>> os.environ["FEDBENCH_CACHE"] = "/tmp/fedbench"
    >>> cache_folder().as_posix()
    '/tmp/fedbench'
    """
    import os

    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else user_cache_path("fedbench")


@dataclass(frozen=True)
class FeatureCache:
    """A folder of features on disk that several processes may share."""

    folder: Path
    """Where the entries lie."""

    @classmethod
    def default(cls) -> FeatureCache:
        """Open the user's cache."""
        return cls(cache_folder() / "features")

    def get(self, encoder: str, images: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Read the features [N, T, F] of a set of images, memory-mapped; compute and store them if need be.

        ``encoder`` and ``images`` are fingerprints. Raises :class:`UsageError` if the folder can't be written
        or the entry is damaged.
        """
        path = self._path(encoder, images)
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_suffix(".lock")).acquire()
        with lock:
            # The note is written last: without it the process that made the entry was stopped on the way.
            if not (path.exists() and path.with_suffix(".json").exists()):
                features = compute()
                with self._writing():
                    remove_partial(self.folder, path.stem)
                    self._store(path, features)
        return self._load(path)

    def forget(self, encoder: str, images: str) -> None:
        """Remove the features of a set of images, so that they are computed anew."""
        path = self._path(encoder, images)
        with self._writing(), FileLock(path.with_suffix(".lock")):
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def _path(self, encoder: str, images: str) -> Path:
        return self.folder / f"{sha256_json({'encoder': encoder, 'images': images})[:32]}.npy"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(
                "can't write the feature cache",
                where=self.folder,
                why=error,
                fix=f"set {CACHE_VARIABLE} to a folder you may write",
            ) from error

    def _store(self, path: Path, features: np.ndarray) -> None:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(features, dtype=np.float32))
        note = {"sha256": sha256_file(path), "bytes": path.stat().st_size, "shape": features.shape}
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
