"""The kinds of settings that can be changed and put back: kernel files, text files, access modes, a mount's size."""

from __future__ import annotations

import errno
import os
import shlex
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from framebus.errors import DataError
from framebus.process.kernel_files import chosen, numbers, text
from framebus.tuning.replacing import replace_file

__all__ = ["Change", "FileMode", "Form", "KernelFile", "MountSize", "TextFile", "rebuilt"]

Form = Literal["word", "list", "mask"]
"""How a kernel file's value is compared: as it stands, as a list of CPUs, as a mask of CPUs."""


@dataclass(frozen=True)
class _Setting:
    """A setting, and what it is to become.

    Attributes:
        kind: which of the kinds it is.
        lasts: whether it outlives a restart of the machine.
        path: absolute, as on the machine itself.
        wanted: what it is to become; None: no such file.
        root: of the machine.
        form: how its values are compared.
    """

    kind: ClassVar[str]
    lasts: ClassVar[bool] = False

    path: str
    wanted: str | None
    root: Path = Path("/")
    form: Form = "word"

    @property
    def where(self) -> Path:
        """Where it is; below another root in a stand-in for a machine."""
        return self.root / self.path.lstrip("/")

    def same(self, one: str | None, other: str | None) -> bool:
        """Whether two values mean the same."""
        if one is None or other is None or self.form == "word":
            return one == other
        if self.form == "list":
            return set(numbers(one)) == set(numbers(other))
        return _mask(one) == _mask(other)

    def _look_again(self, value: str | None, now: str | None) -> None:
        if not self.same(now, value):
            raise OSError(errno.EINVAL, f"the kernel made it {now!r}, not {value!r}", str(self.where))


@dataclass(frozen=True)
class KernelFile(_Setting):
    """A value in a file of /proc or /sys; of a file of choices (``a [b] c``) the chosen one."""

    kind = "kernel"

    def current(self) -> str:
        """What the file says."""
        said = self.where.read_text().strip()
        return chosen(said) or said

    def put(self, value: str | None) -> None:
        """Write it: never a file that is not there."""
        file = os.open(self.where, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(file, f"{value}\n".encode())
        finally:
            os.close(file)
        self._look_again(value, self.current())

    def command(self) -> str:
        """As root's shell."""
        return f"echo {shlex.quote(str(self.wanted))} | sudo tee {shlex.quote(self.path)}"


@dataclass(frozen=True)
class TextFile(_Setting):
    """A file of settings: the whole of it, byte for byte. Of a link the file that it leads to."""

    kind = "text"
    lasts = True

    @property
    def where(self) -> Path:
        """The file itself.

        Raises:
            OSError: a link leads to another machine's than that of the root.
        """
        file = super().where.resolve()
        if not file.is_relative_to(self.root.resolve()):
            raise OSError(errno.EXDEV, f"the link leads out of {self.root}", str(super().where))
        return file

    def current(self) -> str | None:
        """Its content, bytes that are no UTF-8 as lone surrogates; None if there is none."""
        try:
            return self.where.read_bytes().decode(errors="surrogateescape")
        except FileNotFoundError:
            return None

    def put(self, value: str | None) -> None:
        """Replace it as a whole, or remove it; its owner and mode stay."""
        if value is None:
            self.where.unlink(missing_ok=True)
        else:
            replace_file(self.where, value.encode(errors="surrogateescape"))

    def command(self) -> str:
        """As root's shell."""
        wanted = str(self.wanted)
        *lines, rest = wanted.split("\n")
        if lines and not rest and wanted.replace("\n", "").isprintable():
            written = f"'%s\\n' {' '.join(shlex.quote(line) for line in lines)}"
        else:  # what a terminal would not show, or not as it is, in octal
            data = wanted.encode(errors="surrogateescape")
            kept = (
                chr(byte) if 32 <= byte < 127 and byte != ord("\\") else f"\\0{byte:03o}" for byte in data
            )
            written = f"%b {shlex.quote(''.join(kept))}"
        return f"printf {written} | sudo tee {shlex.quote(self.path)}"


@dataclass(frozen=True)
class FileMode(_Setting):
    """Who may read and write a file, as an octal number."""

    kind = "mode"
    lasts = True  # a device is made anew with each restart, and its rule gives it this mode again

    def current(self) -> str:
        """Its access mode."""
        return f"{stat.S_IMODE(self.where.stat().st_mode):o}"

    def put(self, value: str | None) -> None:
        """Set its access mode."""
        self.where.chmod(int(str(value), 8))
        self._look_again(value, self.current())

    def command(self) -> str:
        """As root's shell."""
        return f"sudo chmod {self.wanted} {shlex.quote(self.path)}"


@dataclass(frozen=True)
class MountSize(_Setting):
    """How much a file system in memory may hold, KiB."""

    kind = "mount"

    def current(self) -> str:
        """Its size, as the table of mounts has it, else as the file system says."""
        for line in text(self.root / "proc/mounts").splitlines():
            words = line.split()
            if len(words) > 3 and words[1] == self.path:
                for option in words[3].split(","):
                    if option.startswith("size=") and option.endswith("k"):
                        return option[5:-1]
        space = os.statvfs(self.where)
        return str(space.f_blocks * space.f_frsize // 1024)

    def put(self, value: str | None) -> None:
        """Mount it anew; what is in it stays."""
        arguments = ["mount", "-o", f"remount,size={value}k", self.path]
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise OSError(errno.ENOENT, "there is no program 'mount'", self.path) from None
        if done.returncode:
            raise OSError(errno.EPERM, " ".join(done.stderr.split()) or "mount failed", self.path)
        self._look_again(value, self.current())

    def command(self) -> str:
        """As root's shell."""
        return f"sudo mount -o remount,size={self.wanted}k {shlex.quote(self.path)}"


Change = KernelFile | TextFile | FileMode | MountSize
"""Each has ``current()`` (OSError: it cannot be read), ``put(value)``, which also looks whether it has become that
(OSError: it cannot be written, or has not), and ``command()``, which does it in a shell."""

_KINDS: dict[str, type[Change]] = {kind.kind: kind for kind in (KernelFile, TextFile, FileMode, MountSize)}


def rebuilt(kind: str, path: str, form: Form, root: Path) -> Change:
    """The change of a setting that was remembered.

    Raises:
        DataError: no such kind is known.
    """
    if kind not in _KINDS:
        raise DataError(
            f"{path}: '{kind}' is no kind of setting that this framebus knows; undo it with the one that changed it"
        )
    return _KINDS[kind](path, None, root, form)


def _mask(said: str) -> int:
    """A kernel's mask of CPUs: hexadecimal words of 32, the highest first."""
    try:
        return int(said.replace(",", ""), 16)
    except ValueError:
        return -1
