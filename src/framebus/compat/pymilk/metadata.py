"""A stream's header and keywords as pyMilk shows them: ``shm.md.cnt0``, ``shm.mtdata["size"]``, ``shm.keywords``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Self

from framebus.compat.pymilk.errors import UnsupportedError
from framebus.stream import Stream

__all__ = ["Image", "Keyword", "KeywordName", "Metadata", "keywords_of"]

_TIMES = {
    "creationtime": "creation_ns",
    "lastaccesstime": "access_ns",
    "atime": "atime_ns",
    "acqtime": "atime_ns",
    "writetime": "writetime_ns",
}
_RENAMED = {
    "NBkw": "nkw",
    "creatorPID": "creator_pid",
    "ownerPID": "owner_pid",
    "CBsize": "cbsize",
    "CBindex": "cbindex",
    "CBcycle": "cbcycle",
}


class Keyword(NamedTuple):
    """One keyword, as ``shm.keywords["EXPTIME"].value`` has it."""

    name: str
    value: int | float | str
    comment: str


class KeywordName(str):
    """A keyword's name that also knows the keyword: ``kw["name"]``, ``kw["value"]``, ``kw["comment"]``.

    pyMilk gives keywords as a dictionary, and milk's own page loops over them as over records. Both work.
    """

    __slots__ = ("keyword",)
    keyword: Keyword

    def __new__(cls, name: str, value: float | str = 0, comment: str = "") -> Self:
        """Make a name that knows its keyword."""
        made = super().__new__(cls, name)
        made.keyword = Keyword(name, value, comment)
        return made

    def __getnewargs__(self) -> Keyword:  # type: ignore[override]
        return self.keyword

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in Keyword._fields:
                raise KeyError(f"{key!r}; a keyword has: {', '.join(Keyword._fields)}")
            return getattr(self.keyword, key)
        return super().__getitem__(key)


def keywords_of(stream: Stream) -> dict[str, Keyword]:
    """All keywords, in the order of their slots; one that is deleted meanwhile is left out."""
    found = {}
    for name in list(stream.keywords):
        try:
            keyword = Keyword(name, stream.keywords[name], stream.keywords.comment(name))
        except KeyError:
            continue
        found[KeywordName(*keyword)] = keyword
    return found  # type: ignore[return-value]  # a KeywordName is a str


def _fields_of_dao(stream: Stream, header: dict[str, Any]) -> dict[str, Any]:
    """What a DAO stream's header says, under the names that ImageStreamIO has for it."""
    times = {"creationtime": header["creation_s"], "lastaccesstime": header["access_s"]}
    times |= dict.fromkeys(("atime", "acqtime"), header["atime_ns"] / 1e9)
    times["writetime"] = stream.handle.written_ns / 1e9
    fields = {key: header[key] for key in ("name", "naxis", "nelement", "shared", "status", "logflag", "sem")}
    fields |= {key: header[key] for key in ("cnt0", "cnt1", "cnt2", "write")}
    fields |= {theirs: datetime.fromtimestamp(seconds) for theirs, seconds in times.items()}  # noqa: DTZ006
    return fields | {
        "size": list(header["size"][: header["naxis"]])[::-1],
        "datatype": header["atype"],
        "NBkw": header["nkw"],
        "CBsize": stream.history_length,
        "CBindex": header["fifo_last_written"],
    }


class Metadata(Mapping[str, Any]):
    """The header's fields under ImageStreamIO's names, as attributes and by ``[...]``, each as it stands now.

    ``size`` has the fast axis first, and as many axes as the stream. Times are naive local datetimes, as pyMilk's.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def _fields(self) -> dict[str, Any]:
        header = self._stream.header()
        if self._stream.dialect.name == "dao":
            return _fields_of_dao(self._stream, header)
        fields = dict(header, size=list(header["size"][: header["naxis"]]))
        for theirs, ours in _TIMES.items():
            fields[theirs] = datetime.fromtimestamp(header[ours] / 1e9)  # noqa: DTZ006 - as pyMilk gives them
        return fields | {theirs: header[ours] for theirs, ours in _RENAMED.items()}

    def __getitem__(self, name: str) -> Any:
        fields = self._fields()
        if name not in fields:
            raise KeyError(f"{name!r}; a stream's metadata has: {', '.join(fields)}")
        return fields[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(str(error.args[0])) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields())

    def __len__(self) -> int:
        return len(self._fields())

    def __str__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self.items())


class Image:
    """What scripts use of ``shm.IMAGE``: its metadata and keywords."""

    def __init__(self, stream: Stream) -> None:
        self.md = Metadata(stream)
        self._stream = stream

    @property
    def kw(self) -> dict[str, Keyword]:
        """The keywords as they stand, by name."""
        return keywords_of(self._stream)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UnsupportedError(
            f"IMAGE.{name}: of ImageStreamIOWrap's Image only md and kw are there; use the methods of SHM, or the"
            " framebus stream itself, shm.stream"
        )
