"""A stream's keywords by pyMilk's methods, and what cameras say in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framebus.compat.pymilk.metadata import Keyword, keywords_of
from framebus.errors import DataError, UsageError
from framebus.stream import Stream

__all__ = ["KeywordMethods"]

Value = int | float | str
KeywordsToSet = Mapping[str, Value | tuple[Value] | tuple[Value, str]]
"""Values, alone or with a comment; one without a comment gets an empty one."""


class KeywordMethods:
    """What ``SHM`` does with keywords."""

    FNAME: str
    stream: Stream
    shape: tuple[int, ...]

    @property
    def keywords(self) -> dict[str, Keyword]:
        """The keywords as they stand: ``shm.keywords["EXPTIME"].value``."""
        return keywords_of(self.stream)

    def get_keywords(self, comments: bool = False, n_tries: int = 4) -> dict[str, Any]:
        """``{name: value}``, or with ``comments`` ``{name: (value, comment)}``. ``n_tries`` is accepted."""
        return {
            name: (keyword.value, keyword.comment) if comments else keyword.value
            for name, keyword in self.keywords.items()
        }

    def get_keyword(self, key: str, comment: bool = False, n_tries: int = 4) -> Any:
        """A keyword's value, or with ``comment`` (value, comment). Raises KeyError if there is none of that name."""
        value = self.stream.keywords[key]
        return (value, self.stream.keywords.comment(key)) if comment else value

    def set_keywords(self, kw_dict: KeywordsToSet) -> None:
        """Write keywords; others stay. One that is given without a comment loses the one that it had.

        Raises:
            UsageError: one does not fit, or there is no room for more.
        """
        for name, given in kw_dict.items():
            value, comment = given if isinstance(given, tuple) and len(given) == 2 else (given, "")
            self.stream.keywords.set(name, value[0] if isinstance(value, tuple) else value, comment)

    def reset_keywords(self, kw_dict: KeywordsToSet) -> None:
        """Write keywords and delete all others."""
        for name in [name for name in self.stream.keywords if name not in kw_dict]:
            del self.stream.keywords[name]
        self.set_keywords(kw_dict)

    def update_keyword(self, name: str, value: Value, comment: str | None = None) -> None:
        """Write a keyword that is there; without ``comment`` the old one stays.

        Raises:
            UsageError: there is none of that name.
        """
        if name not in self.stream.keywords:
            raise UsageError(f"{self.FNAME} has no keyword {name!r} to update; make it with set_keywords()")
        self.stream.keywords.set(name, value, comment)

    def __getitem__(self, name: str) -> Value:
        return self.stream.keywords[name]

    def __setitem__(self, name: str, value: Value) -> None:
        self.stream.keywords[name] = value

    def get_expt(self) -> float:
        """Exposure time in s, from the keyword EXPTIME or tint; 0.0 without."""
        return float(self._number(("EXPTIME", "tint"), 0.0))

    def get_fps(self) -> float:
        """Frames per second, from the keyword FRATE or fps; 0.0 without."""
        return float(self._number(("FRATE", "fps"), 0.0))

    def get_ndr(self) -> int:
        """Number of non-destructive reads, from the keyword DET-NSMP or NDR; 1 without."""
        return int(self._number(("DET-NSMP", "NDR"), 1))

    def get_crop(self) -> tuple[int, int, int, int]:
        """First and last pixel of the crop, ``(x0, x1, y0, y1)``.

        From the keywords PRD-MIN1, PRD-RNG1, PRD-MIN2, PRD-RNG2 (start and length), or CROP_OR1, CROP_EN1, CROP_OR2,
        CROP_EN2 (first and last), or x0, x1, y0, y1 (start and length). Without any, ``(0, shape[0], 0, shape[1])``, as
        pyMilk.

        Raises:
            UsageError: there are no such keywords, and the stream is no image.
            DataError: one of the four is missing, or no number.
        """
        for names, lengths in (
            (("PRD-MIN1", "PRD-RNG1", "PRD-MIN2", "PRD-RNG2"), True),
            (("CROP_OR1", "CROP_EN1", "CROP_OR2", "CROP_EN2"), False),
            (("x0", "x1", "y0", "y1"), True),
        ):
            if names[0] in self.stream.keywords:
                x0, x1, y0, y1 = (int(self._number((name,), None)) for name in names)
                return (x0, x0 + x1 - 1, y0, y0 + y1 - 1) if lengths else (x0, x1, y0, y1)
        if len(self.shape) < 2:
            raise UsageError(
                f"{self.FNAME} has shape {self.shape} and no keywords of a crop; expected an image"
            )
        return (0, self.shape[0], 0, self.shape[1])

    def _number(self, names: tuple[str, ...], default: float | None) -> float:
        for name in names:
            value = self.stream.keywords.get(name)
            if isinstance(value, str):
                raise DataError(f"{self.FNAME}: keyword {name} is {value!r}, expected a number")
            if value is not None:
                return value
        if default is None:
            raise DataError(f"{self.FNAME} has no keyword {names[0]}, which belongs to those that are there")
        return default
