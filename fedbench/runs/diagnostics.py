"""A method's diagnostics as JSON values for a record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from fedbench.errors import FedbenchError


def plain(value: Any, name: str = "diagnostics") -> Any:
    """Convert to JSON values: tensors and arrays to lists, NaN and infinity to None.

    :class:`FedbenchError` if a value is neither numbers nor text.
    """
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(inner, f"{name}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, name) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise FedbenchError(f"the method's {name} is a {type(value).__name__}, not numbers or text")
