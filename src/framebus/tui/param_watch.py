"""Parameter sets, looked at through handles that stay open, as the lines of a tree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from framebus.errors import FramebusError, StreamFormatError
from framebus.params import ParamInfo, Params, Value
from framebus.params.place import SUFFIX

__all__ = ["ParamWatch", "SetLook"]


class SetLook(NamedTuple):
    """One set.

    Attributes:
        name: of the set.
        user_pid: the live process whose unit runs with it; 0: none.
        entries: by their names.
        error: why it cannot be read; empty if it can.
    """

    name: str
    user_pid: int
    entries: Mapping[str, ParamInfo]
    error: str = ""


class _Open:
    def __init__(self, path: Path, inode: int) -> None:
        self.params, self.inode = Params.open(path), inode
        self.generation = -1
        self.look = SetLook(path.name.removesuffix(SUFFIX), 0, {})

    def bring_up_to_date(self) -> SetLook:
        params = self.params
        user = params.user_pid
        # Asked first: a change that comes in between is seen at the next look.
        generation = params.generation
        if generation != self.generation or user != self.look.user_pid:
            self.generation = generation
            self.look = SetLook(self.look.name, user, params.describe_all())
        return self.look


class ParamWatch:
    """All sets of a directory.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, _Open] = {}
        self._bad: dict[str, tuple[int, str]] = {}

    def look(self, files: Mapping[str, int]) -> dict[str, SetLook]:
        """How every set stands; one that did not change is the very object of the look before.

        Args:
            files: inodes by the sets' names.
        """
        for name in [name for name, held in self._open.items() if files.get(name) != held.inode]:
            self._open.pop(name).params.close()
        found = {}
        for name, inode in files.items():
            held = self._open.get(name) or self._try(name, inode)
            if held is not None:
                found[name] = held.bring_up_to_date()
            elif name in self._bad:
                found[name] = SetLook(name, 0, {}, self._bad[name][1])
        return found

    def _try(self, name: str, inode: int) -> _Open | None:
        if self._bad.get(name, (0, ""))[0] == inode:
            return None
        path = self._folder / f"{name}{SUFFIX}"
        try:
            self._open[name] = _Open(path, inode)
        except StreamFormatError as error:
            self._bad[name] = (inode, str(error).removeprefix(f"{path}: "))
        except (FramebusError, OSError):  # removed since it was listed, or not ours to read
            return None
        return self._open.get(name)

    def write(self, name: str, entry: str, value: Value) -> None:
        """Change one value.

        Raises:
            ParameterError: wrong type, outside the limits, or not writable now.
            WaitTimeout, StreamRecreated: see ``Params.update``.
            KeyError: there is no such set any more.
        """
        self._open[name].params[entry] = value

    def close(self) -> None:
        """Give all handles back."""
        for held in self._open.values():
            held.params.close()
        self._open.clear()
