"""Compiled kernels on disk.

One file per kernel: a magic word, a SHA-256 of all that follows, the length of a JSON head, the head, the object
code. A file that is damaged, truncated, foreign or somebody else's counts as absent and is written anew.
Files appear whole or not at all, so any number of processes can share the directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import tempfile
import warnings
from pathlib import Path

from framebus.unit.object_code import ObjectCode

MAGIC = b"framebus kernel 1\n"
LIMIT_BYTES = 256 * 2**20
"""Total size above which the kernels that were not used for longest are removed."""

_SUFFIX = ".kernel"
_HEAD = struct.Struct("<32sI")
_warned: set[str] = set()


def directory() -> Path | None:
    """``$FRAMEBUS_CACHE_DIR``, else ``framebus/kernels`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.

    ``None`` when there is no home to put it in.
    """
    given = os.environ.get("FRAMEBUS_CACHE_DIR")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "framebus" / "kernels"
    except RuntimeError:
        return None


def load(key: str) -> ObjectCode | None:
    """The code stored under ``key``, a hexadecimal hash; ``None`` when there is none that can be trusted."""
    folder = directory()
    if folder is None:
        return None
    path = folder / (key + _SUFFIX)
    try:
        with path.open("rb") as file:
            owner = os.fstat(file.fileno()).st_uid
            content = file.read() if owner in (os.geteuid(), 0) else b""
    except OSError:
        return None
    code = _unpack(content, key)
    if code is not None:
        with contextlib.suppress(OSError):
            os.utime(path)  # the oldest go first
    return code


def store(key: str, code: ObjectCode) -> None:
    """Keep ``code`` under ``key``; where that cannot be, warn once and go on without."""
    folder = directory()
    if folder is None:
        return
    temporary = ""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="new-", delete=False) as file:
            temporary = file.name
            file.write(_pack(key, code))
        os.replace(temporary, folder / (key + _SUFFIX))
        prune(folder, LIMIT_BYTES)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if str(folder) not in _warned:
            _warned.add(str(folder))
            warnings.warn(
                f"compiled units cannot be kept in {folder} ({error.strerror}); they are compiled again on every "
                f"start; set FRAMEBUS_CACHE_DIR to a directory that can be written",
                RuntimeWarning,
                stacklevel=2,
            )


def prune(folder: Path, limit_bytes: int) -> None:
    """Remove the files used longest ago, left-overs included, until the rest is within ``limit_bytes``."""
    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.endswith(_SUFFIX) or entry.name.startswith("new-"):
                    files.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit_bytes:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size


def _pack(key: str, code: ObjectCode) -> bytes:
    head = json.dumps({"key": key, "entry": code.entry, "externals": code.externals}).encode()
    body = head + code.data
    digest = hashlib.sha256(struct.pack("<I", len(head)) + body).digest()
    return MAGIC + _HEAD.pack(digest, len(head)) + body


def _unpack(content: bytes, key: str) -> ObjectCode | None:
    start = len(MAGIC) + _HEAD.size
    if len(content) < start or not content.startswith(MAGIC):
        return None
    digest, length = _HEAD.unpack_from(content, len(MAGIC))
    if hashlib.sha256(content[start - 4 :]).digest() != digest:
        return None
    head = json.loads(content[start : start + length])
    if head["key"] != key:
        return None
    return ObjectCode(head["entry"], tuple(head["externals"]), content[start + length :])
