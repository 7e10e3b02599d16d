"""Errors of the native core arrive as the exceptions of the same name."""

from __future__ import annotations

import pytest

from framebus import _core, errors


@pytest.mark.parametrize(
    "kind",
    ["UsageError", "StreamFormatError", "StreamNotFound", "StreamRecreated", "WaitTimeout", "ParameterError"],
)
def test_named_errors(kind: str) -> None:
    with pytest.raises(getattr(errors, kind), match="what was wrong") as caught:
        _core.throw_error(kind, "what was wrong")
    assert type(caught.value) is getattr(errors, kind)


def test_a_format_error_tells_field_and_path() -> None:
    with pytest.raises(errors.StreamFormatError) as caught:
        _core.throw_error("StreamFormatError", "what was wrong")
    assert (caught.value.field, caught.value.path) == ("size", "some/path")


def test_the_kernels_refusal_is_an_oserror() -> None:
    with pytest.raises(FileNotFoundError, match="what was tried") as caught:
        _core.throw_error("OSError", "what was tried")
    assert (caught.value.errno, caught.value.filename) == (2, "some/path")


def test_an_unknown_kind_is_a_misuse() -> None:
    with pytest.raises(errors.UsageError, match="unknown kind 'Nonsense'"):
        _core.throw_error("Nonsense", "")


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (errors.UsageError, ValueError),
        (errors.NotFoundError, LookupError),
        (errors.WaitTimeout, TimeoutError),
        (errors.StreamExists, errors.UsageError),
        (errors.NameFormatError, errors.UsageError),
        (errors.StreamNotFound, errors.NotFoundError),
        (errors.StreamRecreated, errors.PeerError),
        (errors.StreamFormatError, errors.DataError),
    ],
)
def test_whose_turn_it_is_to_act(error: type[Exception], also: type[Exception]) -> None:
    assert issubclass(error, also)
    assert issubclass(error, errors.FramebusError)
