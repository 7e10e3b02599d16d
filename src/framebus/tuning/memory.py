"""What settings were before they were tuned: a file that is written before each change, so that all can be undone."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Self, get_args

from framebus.errors import DataError, UsageError
from framebus.process.kernel_files import text
from framebus.tuning.changes import Change, Form
from framebus.tuning.replacing import replace_file

__all__ = ["Memory", "Remembered", "state_path"]

_VERSION = 1


@dataclass(frozen=True)
class Remembered:
    """A setting that was changed, or was about to be.

    Attributes:
        item: for what.
        kind, path, form: which setting.
        previous: what it was before the first change; None: there was no such file.
        applied: what it was made.
        boot: when the machine ran that it was changed on (the kernel's id of the boot); what does not outlive a restart
            is of no meaning in another.
    """

    item: str
    kind: str
    path: str
    form: Form
    previous: str | None
    applied: str | None
    boot: str

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str) and not (value is None and field.name in ("previous", "applied")):
                raise TypeError(f"the {field.name} of a setting is {value!r}")
        if self.form not in get_args(Form):
            raise ValueError(f"the form of a setting is {self.form!r}")


def state_path(root: str | os.PathLike[str] = "/") -> Path:
    """Where previous values are kept."""
    return Path(root) / "var/lib/framebus/tuning.json"


class Memory:
    """The remembered settings of a machine, in the order in which they were changed.

    Use ``Memory.opened``: it keeps others from tuning at the same time.
    """

    def __init__(self, path: Path, boot: str, entries: list[Remembered]) -> None:
        self.path, self.boot, self.entries = path, boot, entries

    @classmethod
    def read(cls, root: str | os.PathLike[str] = "/") -> Self:
        """What is remembered; nothing if nothing was ever changed.

        Raises:
            DataError: the file is not one of these.
            OSError: it cannot be read.
        """
        path = state_path(root)
        boot = text(Path(root) / "proc/sys/kernel/random/boot_id")
        try:
            told = json.loads(path.read_text())
            if told["version"] != _VERSION:
                raise DataError(
                    f"{path} is of version {told['version']}, this framebus knows {_VERSION}; "
                    "undo with the one that wrote it"
                )
            return cls(path, boot, [Remembered(**entry) for entry in told["settings"]])
        except FileNotFoundError:
            return cls(path, boot, [])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} cannot be understood ({error}); restore it from a copy, or remove it and restart the machine"
            ) from error

    @classmethod
    @contextmanager
    def opened(cls, root: str | os.PathLike[str] = "/") -> Iterator[Self]:
        """To change settings with: nobody else does meanwhile.

        Raises:
            UsageError: somebody else tunes just now.
            DataError: as ``read``.
            OSError: the file's directory cannot be written; nothing can be changed then.
        """
        folder = state_path(root).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "tuning.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            said = f"previous values cannot be kept, so nothing was changed; run it as root (sudo): {error.strerror}"
            raise type(error)(error.errno, said, str(folder)) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"somebody else tunes this machine just now ({folder} is locked)") from None
            yield cls.read(root)
        finally:
            os.close(lock)

    def remember(self, item: str, change: Change, previous: str | None) -> None:
        """Keep on disk what a setting is before it is changed. What was kept of it before stays the previous value."""
        entry = Remembered(item, change.kind, change.path, change.form, previous, change.wanted, self.boot)
        old = self.known(change)
        if old is not None and (change.lasts or old.boot == self.boot):
            entry = replace(entry, previous=old.previous)
        self.reset(change, entry)

    def known(self, change: Change) -> Remembered | None:
        """What is remembered of a setting."""
        return next((e for e in self.entries if (e.kind, e.path) == (change.kind, change.path)), None)

    def reset(self, change: Change, entry: Remembered | None) -> None:
        """Make this what is remembered of a setting; None: nothing."""
        old = self.known(change)
        self._keep([*(e for e in self.entries if e is not old), *([] if entry is None else [entry])])

    def forget(self, entry: Remembered) -> None:
        """It has been put back."""
        self._keep([e for e in self.entries if e is not entry])

    def _keep(self, entries: list[Remembered]) -> None:
        """Replace the file; it is on the disk when this returns, and removed once it is empty."""
        if not entries:
            self.path.unlink(missing_ok=True)
        else:
            told = {"version": _VERSION, "settings": [asdict(entry) for entry in entries]}
            replace_file(self.path, json.dumps(told, indent=1).encode())
        self.entries = entries
