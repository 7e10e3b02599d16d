"""The 13 element types of the stream formats and their codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError

DTYPES: dict[int, np.dtype[Any]] = {
    code: np.dtype(name)
    for code, name in enumerate(
        (
            "uint8",
            "int8",
            "uint16",
            "int16",
            "uint32",
            "int32",
            "uint64",
            "int64",
            "float32",
            "float64",
            "complex64",
            "complex128",
            "float16",
        ),
        start=1,
    )
}
"""Element type of each datatype code of ImageStreamIO (and, up to 12, of DAO)."""

CODES = {dtype: code for code, dtype in DTYPES.items()}


def datatype_code(dtype: npt.DTypeLike) -> int:
    """The format's code of a NumPy dtype (native byte order).

    Raises:
        UsageError: the dtype is none of the 13 that streams can carry.
    """
    known = ", ".join(map(str, CODES))
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        raise UsageError(f"dtype {dtype!r} is not understood; a stream can carry {known}") from None
    if wanted not in CODES:
        raise UsageError(f"a stream cannot carry dtype {wanted}; it can carry {known}")
    return CODES[wanted]
