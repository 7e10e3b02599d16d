"""Fourier transforms of small real squares inside compiled units, which have no library to call.

Products with matrices of cosines and sines: any size will do, all loops run along rows and vectorise, and for
the 8 to 32 pixels of a sub-aperture that is as fast as anything. A spectrum is float32 (2, n // 2 + 1, n): real and
imaginary part, frequencies of y up to the Nyquist one, all frequencies of x; the rest follows from symmetry.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def fill_tables(tables: Any) -> None:
    """Cosines and sines of 2 pi i j / n, float32 (2, n, n); made once, as the table of zeros tells."""
    n = tables.shape[1]
    if tables[0, 0, 0] == np.float32(1.0):
        return
    for i in range(n):
        for j in range(n):
            angle = 2.0 * np.pi * ((i * j) % n) / n
            tables[0, i, j] = np.cos(angle)
            tables[1, i, j] = np.sin(angle)


def clear(row: Any) -> None:
    """Zeros in a row. Not ``row[:] = 0``, which takes Numba a third of a second to compile."""
    for i in range(np.uintp(row.size)):
        row[i] = np.float32(0.0)


def forward(image: Any, tables: Any, half: Any, spectrum: Any) -> None:
    """F(k) = sum(image(x) exp(-2 pi i k x / n)); ``half`` is room for a spectrum."""
    n = np.uintp(image.shape[0])
    for ky in range(np.uintp(spectrum.shape[1])):
        real, imaginary = half[0, ky], half[1, ky]
        clear(real)
        clear(imaginary)
        for y in range(n):
            cosine, sine, row = tables[0, ky, y], tables[1, ky, y], image[y]
            for x in range(n):
                real[x] += cosine * row[x]
                imaginary[x] -= sine * row[x]
    for ky in range(np.uintp(spectrum.shape[1])):
        _along_row(half[0, ky], half[1, ky], np.float32(-1.0), tables, spectrum[0, ky], spectrum[1, ky])


def backward(spectrum: Any, tables: Any, half: Any, image: Any) -> None:
    """The image whose spectrum that is: the inverse of ``forward``."""
    n = np.uintp(image.shape[0])
    size = np.int64(image.shape[0])
    for ky in range(np.uintp(spectrum.shape[1])):
        _along_row(spectrum[0, ky], spectrum[1, ky], np.float32(1.0), tables, half[0, ky], half[1, ky])
    for y in range(n):
        row = image[y]
        clear(row)
        for ky in range(np.uintp(spectrum.shape[1])):
            # Its mirror image, the frequency -ky, adds as much; those two that are their own mirror image don't.
            alone = ky == 0 or 2 * np.int64(ky) == size
            scale = np.float32((1.0 if alone else 2.0) / (size * size))
            cosine, sine = scale * tables[0, ky, y], scale * tables[1, ky, y]
            real, imaginary = half[0, ky], half[1, ky]
            for x in range(n):
                row[x] += cosine * real[x] - sine * imaginary[x]


def _along_row(real: Any, imaginary: Any, sign: Any, tables: Any, to_real: Any, to_imaginary: Any) -> None:
    """To(k) = sum(from(x) exp(sign 2 pi i k x / n))."""
    n = np.uintp(real.size)
    clear(to_real)
    clear(to_imaginary)
    for x in range(n):
        a, b = real[x], imaginary[x]
        c, d = sign * a, sign * b
        cosine, sine = tables[0, x], tables[1, x]
        for k in range(n):
            to_real[k] += a * cosine[k] - d * sine[k]
            to_imaginary[k] += b * cosine[k] + c * sine[k]


def times_conjugate(left: Any, right: Any, product: Any) -> None:
    """Left * conj(right), spectra."""
    for ky in range(np.uintp(left.shape[1])):
        for kx in range(np.uintp(left.shape[2])):
            a, b = left[0, ky, kx], left[1, ky, kx]
            c, d = right[0, ky, kx], right[1, ky, kx]
            product[0, ky, kx] = a * c + b * d
            product[1, ky, kx] = b * c - a * d


def add_moved(spectrum: Any, y: Any, x: Any, scale: Any, room: Any, total: Any) -> None:
    """Add ``scale`` times the spectrum of the image moved by -y, -x pixels to ``total``; ``room`` has two rows of n.

    Shift theorem: the spectrum times exp(2 pi i k s / n), and at the Nyquist frequency times cos(pi s), so that the
    image stays real.
    """
    n = np.int64(spectrum.shape[2])
    for kx in range(n):
        cosine, sine = _phase(kx, n, x)
        room[0, kx] = cosine
        room[1, kx] = sine
    for ky in range(np.int64(spectrum.shape[1])):
        cosine, sine = _phase(ky, n, y)
        for kx in range(np.uintp(n)):
            c = scale * (cosine * room[0, kx] - sine * room[1, kx])
            d = scale * (cosine * room[1, kx] + sine * room[0, kx])
            a, b = spectrum[0, ky, kx], spectrum[1, ky, kx]
            total[0, ky, kx] += a * c - b * d
            total[1, ky, kx] += a * d + b * c


def _phase(k: Any, n: Any, shift: Any) -> Any:
    """Cosine and sine of 2 pi k shift / n, k counted below zero in its upper half."""
    frequency = k if 2 * k <= n else k - n
    angle = np.float32(2.0 * np.pi * frequency / n) * shift
    sine = np.float32(0.0) if 2 * k == n else np.float32(np.sin(angle))
    return np.float32(np.cos(angle)), sine
