"""Live streams as objects: each is an array in arithmetic, namely its newest frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from framebus.errors import NotFoundError, StreamNotFound, UsageError
from framebus.shell.image import Image, as_images
from framebus.shell.mistakes import NoSuchName, NoSuchStream, NotSettable
from framebus.shell.publishing import publish, refuse_other_writer, typed_name
from framebus.stream import Frame, Stream, describe
from framebus.stream import open as open_stream
from framebus.stream.names import near_streams, parse, shm_directory, stream_names, stream_path

__all__ = ["LiveStream", "Streams"]


_CHANGING = frozenset({"fill", "partition", "put", "setfield", "sort"})
"""Methods that change an array itself: of a stream the changed frame is published."""

_UNCHANGEABLE = frozenset({"resize", "setflags"})

_CHANGE_FIRST = frozenset({np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask})
"""Functions that do so with their first argument."""


class LiveStream(NDArrayOperatorsMixin):
    """A stream by its name, opened when it is first read. In arithmetic it is its newest frame.

    ``im + 2``, ``np.sqrt(im)``, ``im[10:20, 3]``, ``im.mean()`` read the newest frame, and give images and numbers.
    ``im[3, 4] = 0``, ``im += 1``, ``im.fill(0)`` and ``np.copyto(im, dark)`` publish a changed frame.
    """

    __hash__ = None  # type: ignore[assignment]  # '==' compares element by element

    def __init__(self, name: str) -> None:
        self._text = name
        self._opened: Stream | None = None

    # ---- the stream ----

    @property
    def stream(self) -> Stream:
        """The stream's handle, which is opened anew if the stream was made anew."""
        if self._opened is not None and not self._opened.handle.current:
            self.close()
        if self._opened is None:
            self._opened = open_stream(self._text)
        return self._opened

    @property
    def asked_for(self) -> str:
        """Its name as it was given, with the slice if there was one."""
        return self._text

    @property
    def name(self) -> str:
        """Its name."""
        return parse(self._text).name

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its frames."""
        return self.stream.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its frames."""
        return self.stream.dtype

    @property
    def ndim(self) -> int:
        """How many axes its frames have."""
        return len(self.shape)

    @property
    def count(self) -> int:
        """Its frame counter."""
        return self.stream.count

    @property
    def keywords(self) -> Any:
        """Its keywords, a mutable mapping."""
        return self.stream.keywords

    def read(self) -> Image:
        """A copy of its newest frame.

        Raises:
            StreamNotFound: it is gone, or has no frame yet.
        """
        opened = self.stream
        if not opened.count:
            raise StreamNotFound(f"stream '{self.name}' has no frame yet")
        return Image(opened.read())

    def next(self, timeout_s: float | None = 5.0) -> Frame:
        """Wait for its next frame; WaitTimeout: none came."""
        return self.stream.read_next(timeout_s=timeout_s)

    def write(self, values: npt.ArrayLike) -> int:
        """Publish a frame of its shape and dtype, whoever else writes it; returns its count."""
        return self.stream.write(np.asarray(values))

    def close(self) -> None:
        """Give up its handle; the next look opens it again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # ---- the array ----

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError(f"stream '{self.name}' cannot be an array without a copy")
        return np.asarray(self.read(), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **named: Any) -> Any:
        values = [_frame_of(value) for value in inputs]
        if out is None:
            return as_images(getattr(ufunc, method)(*values, **named))
        if not any(isinstance(target, LiveStream) for target in out):
            return getattr(ufunc, method)(*values, out=out, **named)
        if len(out) != 1:
            raise UsageError("a result cannot go to a stream and an array at once; assign it instead")
        target = out[0]
        target._change(getattr(ufunc, method)(*values, **named))
        return target

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        del types
        target = kwargs.get("out")
        if func in _CHANGE_FIRST:
            target = args[0] if args else next(iter(kwargs.values()))
        if not isinstance(target, LiveStream):
            return as_images(func(*_frames_in(args), **_frames_in(kwargs)))
        frame = target.read()

        def put(value: Any) -> Any:
            return frame if value is target else _frames_in(value)

        func(*map(put, args), **{key: put(value) for key, value in kwargs.items()})
        target._change(frame)
        return None if func in _CHANGE_FIRST else target

    def __getitem__(self, key: Any) -> Any:
        return self.read()[_frame_of(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        frame = self.read()
        frame[_frame_of(key)] = _frame_of(value)
        self._change(frame)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.read())

    def __bool__(self) -> bool:
        return bool(self.read())

    def __float__(self) -> float:
        return float(self.read().item())

    def __int__(self) -> int:
        return int(self.read().item())

    def __getattr__(self, name: str) -> Any:
        # Called for what is not above: an array's methods, such as mean.
        if name.startswith("_") or not hasattr(Image, name):
            raise NoSuchName(f"stream '{self._text}' has no attribute '{name}'")
        if name in _UNCHANGEABLE:
            raise NotSettable(f"stream '{self._text}' cannot {name}; {self._hint()}")
        if name not in _CHANGING:
            return getattr(self.read(), name)

        def change(*args: Any, **kwargs: Any) -> None:
            frame = self.read()
            getattr(frame, name)(*_frames_in(args), **_frames_in(kwargs))
            self._change(frame)

        return change

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
            return
        if name not in ("flat", "real", "imag"):
            raise NotSettable(f"stream '{self._text}': its {name} cannot be set; {self._hint()}")
        frame = self.read()
        setattr(frame, name, _frame_of(value))
        self._change(frame)

    def _change(self, frame: npt.ArrayLike) -> None:
        """Publish a changed frame, unless another process writes the stream."""
        refuse_other_writer(describe(self.stream.path), typed_name(self._text))
        self.write(frame)

    def _hint(self) -> str:
        return f"'{self.name}[...] = values' publishes a frame"

    def __dir__(self) -> list[str]:
        inherited = {name for name in dir(Image) if not name.startswith("_")} - _UNCHANGEABLE
        return sorted({*super().__dir__(), *inherited})

    def __repr__(self) -> str:
        try:
            opened = self.stream
        except NotFoundError:
            return f"<stream '{self._text}', which is not there>"
        found = describe(opened.path)
        state = "" if found is None else f", {found.state}"
        shape = "x".join(map(str, opened.shape))
        return f"<stream '{self._text}': {shape} {opened.dtype}, frame {opened.count}{state}>"


class Streams:
    """All streams by their names: ``s.wfs``, ``s["wfs.cam-1"]``; ``s.clean = wfs - dark`` publishes.

    It has no methods, which could hide a stream.
    """

    _kept: dict[str, LiveStream]

    def __init__(self) -> None:
        super().__setattr__("_kept", {})

    def __getitem__(self, name: str) -> LiveStream:
        if name not in self._kept:
            parsed = parse(name)
            if not stream_path(parsed).exists():
                open_stream(
                    name
                ).close()  # it may be loaded from ./conf; else the error says where was looked
            self._kept[name] = LiveStream(name)
        return self._kept[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if value is self._kept.get(name):
            return  # the end of `s.im += 1`
        publish(name, _frame_of(value))

    def __getattr__(self, name: str) -> LiveStream:
        if name.startswith("_"):
            raise AttributeError(name)
        if not stream_path(name).exists():
            self._kept.pop(name, None)
            raise NoSuchStream(f"no stream '{name}'{near_streams(name)}")
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(stream_names())

    def __len__(self) -> int:
        return len(stream_names())

    def __contains__(self, name: object) -> bool:
        return name in stream_names()

    def __dir__(self) -> list[str]:
        return [name for name in stream_names() if name.isidentifier()]

    def _ipython_key_completions_(self) -> list[str]:
        return stream_names()

    def __repr__(self) -> str:
        return f"<{len(self)} streams in {shm_directory()}: {', '.join(self) or 'none'}>"

    def _close(self) -> None:
        for stream in self._kept.values():
            stream.close()
        self._kept.clear()


def _frame_of(value: Any) -> Any:
    return value.read() if isinstance(value, LiveStream) else value


def _frames_in(value: Any) -> Any:
    """Arguments with the streams among them read."""
    match value:
        case LiveStream():
            return value.read()
        case dict():
            return {key: _frames_in(entry) for key, entry in value.items()}
        case tuple() | list():
            return type(value)(_frames_in(entry) for entry in value)
    return value
