"""A sequence's file: plain Python with one function that ``@sequence`` marks."""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import sys
import types
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from framebus.errors import DataError, NotFoundError, SequenceError, UsageError
from framebus.sequence.arguments import bind_arguments
from framebus.sequence.lines import known_files, place_of
from framebus.sequence.session import CHAIN

__all__ = ["Sequence", "include", "load", "sequence"]

P = ParamSpec("P")
T = TypeVar("T")

_serials = itertools.count(1)


class Sequence(Generic[P, T]):
    """A function that ``@sequence`` marked; it is called, and awaited, as before.

    Attributes:
        function: that function.
    """

    def __init__(self, function: Callable[P, Awaitable[T]]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Call the function."""
        return self.function(*args, **kwargs)


def sequence(function: Callable[P, Awaitable[T]]) -> Sequence[P, T]:
    """Mark the ``async def`` that is a file's sequence. Its arguments are what it can be given on the command line.

    Raises:
        UsageError: it is no ``async def``.
    """
    if not inspect.iscoroutinefunction(function):
        name = getattr(function, "__name__", repr(function))
        raise UsageError(f"@sequence stands before an 'async def'; {name} is none")
    return Sequence(function)


def load(file: str | os.PathLike[str]) -> Sequence[Any, Any]:
    """Execute a sequence's file, anew at every call; returns the sequence that it defines.

    Raises:
        NotFoundError: there is no such file.
        DataError: it is no Python, fails, or has no sequence or several; the message says where.
    """
    path = os.path.realpath(file)
    name = os.path.basename(path)
    try:
        source = Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFoundError(f"there is no sequence file {file}") from None
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        text = f" in {error.text.strip()!r}" if error.text and error.text.strip() else ""
        raise DataError(f"{name}:{error.lineno or 1}: {error.msg}{text}") from error
    except ValueError as error:  # a NUL character
        raise DataError(f"{name}: this is no Python: {error}") from error
    module = types.ModuleType(f"framebus_sequence_{next(_serials)}_{Path(path).stem}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    known_files.add(path)
    try:
        exec(code, module.__dict__)  # the file is the program that was asked for
    except BaseException as error:
        sys.modules.pop(module.__name__, None)
        if isinstance(error, KeyboardInterrupt):
            raise
        where = place_of(error) or name
        raise DataError(f"{where}: {type(error).__name__}: {error}") from error
    return _only(module, name)


def _only(module: types.ModuleType, name: str) -> Sequence[Any, Any]:
    own = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, Sequence) and value.function.__module__ == module.__name__
    }
    if len(own) == 1:
        return next(iter(own.values()))
    if "main" in own:
        return own["main"]
    if own:
        raise DataError(f"{name}: it has several sequences ({', '.join(own)}); call the one to run 'main'")
    main = getattr(module, "main", None)
    hint = "; put '@sequence' before main" if inspect.iscoroutinefunction(main) else ""
    raise DataError(f"{name}: it has no sequence: expected '@sequence' and 'async def main(...)'{hint}")


async def include(file: str | os.PathLike[str], **arguments: Any) -> Any:
    """Run another file's sequence as a part of this one; returns what it returns.

    Args:
        file: relative to the file of the sequence that includes it.
        arguments: what it is given; texts are taken as on the command line.

    Raises:
        NotFoundError: there is no such file. DataError: it has no sequence.
        SequenceError: the file includes itself, by whatever way.
        UsageError: an argument is unknown, missing, or not of its type.
    """
    chain = CHAIN.get()
    path = os.path.realpath(
        os.path.join(os.path.dirname(chain[-1]) if chain else "", os.path.expanduser(file))
    )
    if path in chain:
        around = " includes ".join(map(os.path.basename, [*chain[chain.index(path) :], path]))
        raise SequenceError(f"the file includes itself: {around}")
    return await run_loaded(load(path), path, arguments)


async def run_loaded(found: Sequence[Any, Any], path: str, arguments: dict[str, Any]) -> Any:
    """Run a sequence that was loaded from ``path`` (absolute)."""
    values = bind_arguments(found.function, arguments, os.path.basename(path))
    token = CHAIN.set((*CHAIN.get(), path))
    try:
        return await found.function(**values)
    finally:
        CHAIN.reset(token)
