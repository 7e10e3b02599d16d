"""What DAO's calls return to say how they went, with DAO's values."""

from __future__ import annotations

__all__ = ["DAO_ERROR", "DAO_NOTREADY", "DAO_OVERWRITE", "DAO_SUCCESS", "DAO_TIMEOUT"]

DAO_SUCCESS = 0
"""All is well."""

DAO_ERROR = 1
"""Never returned here: errors are exceptions."""

DAO_TIMEOUT = -1
"""Nothing came in time."""

DAO_OVERWRITE = -2
"""The writer lapped the reader, and frames are lost to it."""

DAO_NOTREADY = -3
"""There is nothing new."""
