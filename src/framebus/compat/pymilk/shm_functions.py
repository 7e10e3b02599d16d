"""What pyMilk has beside the class SHM: names of streams, and making one only where it is needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from framebus.errors import StreamFormatError, StreamNotFound, UsageError
from framebus.stream.names import SUFFIX, shm_directory

if TYPE_CHECKING:
    from framebus.compat.pymilk.shm import SHM

__all__ = ["MILK_SHM_DIR", "check_SHM_name", "creashmim"]


def MILK_SHM_DIR() -> str:
    """The directory of the streams, as framebus finds it: the environment variable need not be set."""
    return str(shm_directory())


def check_SHM_name(fname: str) -> str:
    """The bare name of a stream that was given by its name, its file's name or its file's path.

    Raises:
        UsageError: the path is not in the directory of the streams.
    """
    folder, end = os.path.split(fname)
    if folder and os.path.normpath(folder) != os.path.normpath(MILK_SHM_DIR()):
        raise UsageError(
            f"'{fname}' is not in the directory of the streams, {MILK_SHM_DIR()}; give a name, or a path there"
        )
    return end.removesuffix(SUFFIX)


def creashmim(
    name: str,
    shape: tuple[int, ...],
    data_type: npt.DTypeLike = np.float32,
    nb_kw: int = 50,
    symcode: int = 4,
    tri_dim: int = 0,
    delete_existing: bool = False,
    attempt_reuse: bool = True,
    do_zero: bool = True,
) -> SHM:
    """A stream of that shape (of the user's side), dtype and number of keywords.

    Args:
        name: what it is called.
        shape: as the user sees it, 1 to 3 axes.
        data_type: one of the types of streams.
        nb_kw: how many keywords it must have room for.
        symcode, tri_dim: as for ``SHM``.
        delete_existing: accepted; a stream that does not fit is always replaced.
        attempt_reuse: keep a stream that fits, instead of replacing it.
        do_zero: publish a frame of zeros in a stream that was kept; a new one always begins with one.
    """
    from framebus.compat.pymilk.shm import SHM

    if attempt_reuse:
        try:
            found = SHM(name, symcode=symcode, triDim=tri_dim, autoSqueeze=False)
        except (StreamNotFound, StreamFormatError):
            pass  # not there, or no stream: made anew
        else:
            fits = (found.shape, found.nptype) == (tuple(shape), np.dtype(data_type))
            if fits and found.stream.keywords.slots >= nb_kw:
                if do_zero:
                    found.set_data(np.zeros(shape, data_type))
                return found
            found.close()
    return SHM(name, (shape, data_type), nbkw=nb_kw, symcode=symcode, triDim=tri_dim)
