"""How good the correction is: residual wavefront error, and the Strehl ratio that it leaves or an image shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError


def residual_rms(phase: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Root mean square of ``phase`` about its mean (piston is no error), in the units of ``phase``.

    Args:
        phase: wavefront, any shape; usually radians.
        mask: which elements count, in the shape of ``phase``; all when ``None``.

    Raises:
        UsageError: the mask has another shape or leaves nothing.
        DataError: a value that counts is not finite.
    """
    values: NDArray[np.float64] = np.asarray(phase, dtype=np.float64)
    if mask is not None:
        chosen = np.asarray(mask).astype(bool)
        if chosen.shape != values.shape:
            raise UsageError(
                f"the mask's shape is {chosen.shape}, expected {values.shape}, that of the phase"
            )
        values = values[chosen]
    if values.size == 0:
        raise UsageError("no element of the phase counts; the mask must leave at least one")
    if not np.isfinite(values).all():
        raise DataError("the phase has values that are not finite; leave those elements out with a mask")
    return float(values.std())


def strehl_ratio(rms: ArrayLike) -> Any:
    """Strehl ratio of a residual of ``rms`` radians: exp(-rms ** 2), the extended Maréchal approximation.

    Good to a few per cent below about 2 rad. Source: V. N. Mahajan, "Strehl ratio for primary aberrations in
    terms of their aberration variance", J. Opt. Soc. Am. 73 (1983) 860.

    Args:
        rms: root mean square of the wavefront without piston, radians at the wavelength of interest; a number
            or an array.

    Returns:
        A float for a number, else an array of that shape.

    Raises:
        UsageError: a value is negative or NaN.
    """
    values = np.asarray(rms, dtype=np.float64)
    if not (values >= 0).all():
        raise UsageError(f"rms is {rms!r}; expected radians, 0 or more")
    ratio = np.exp(-np.square(values))
    return float(ratio) if values.ndim == 0 else ratio


def perfect_image(pupil: ArrayLike, sampling: float, size: int) -> NDArray[np.float64]:
    """Image of a star through a pupil without aberrations, the pupil's power spectrum; all its light is 1.

    Args:
        pupil: (n, n) amplitude, 0 to 1.
        sampling: pixels per lambda / D, D being the side of ``pupil``; 2 is Nyquist's.
        size: side of the image, pixels; the star is in the middle of pixel size // 2.

    Raises:
        UsageError: the pupil is not square, has no light or is not finite, or a number is out of range.
    """
    amplitude = np.asarray(pupil, dtype=np.float64)
    if amplitude.ndim != 2 or amplitude.shape[0] != amplitude.shape[1] or not np.isfinite(amplitude).all():
        raise UsageError(f"the pupil has shape {amplitude.shape}; expected (n, n), all finite")
    if not amplitude.any():
        raise UsageError("the pupil lets no light through; expected an amplitude above 0 somewhere")
    if not (sampling > 0.0 and np.isfinite(sampling) and size >= 1):
        raise UsageError(f"sampling {sampling}, size {size}; expected numbers above 0")
    n = amplitude.shape[0]
    pixel = (np.arange(size) - size // 2) / sampling
    kernel = np.exp(-2j * np.pi * np.outer(pixel, (np.arange(n) - (n - 1) / 2) / n))
    image = np.abs(kernel @ amplitude @ kernel.T) ** 2
    # Parseval: per lambda / D squared the light is sum(pupil^2) n^2.
    return np.asarray(image / (np.square(amplitude).sum() * (n * sampling) ** 2))


def strehl_of_image(image: ArrayLike, perfect: ArrayLike, *, background: float = 0.0) -> float:
    """Strehl ratio of an image: its peak over its light, over the same of the perfect image.

    Both peaks are found between pixels, by Fourier interpolation, which is exact for images that are sampled at 2
    pixels per lambda / D or more and dark at their edges. On ways to do it: L. C. Roberts et al., "Is that really
    your Strehl ratio?", Proc. SPIE 5490 (2004) 504.

    Args:
        image: (height, width), one star.
        perfect: the same field of a perfect star, as ``perfect_image`` makes it, of any brightness and position.
        background: subtracted from every pixel of ``image``.

    Raises:
        UsageError: the images differ in shape.
        DataError: one is not 2-D, not finite, or has no light.
    """
    seen, best = np.asarray(image, dtype=np.float64) - background, np.asarray(perfect, dtype=np.float64)
    if seen.shape != best.shape:
        raise UsageError(
            f"the images have shapes {seen.shape} and {best.shape}; expected the same field for both"
        )
    return _concentration("image", seen) / _concentration("perfect image", best)


def perfect_concentration(perfect: ArrayLike) -> float:
    """Brightest pixel over the light of a perfect image: the parameter ``perfect`` of ``image_quality``.

    Raises:
        DataError: it is not 2-D, not finite, or has no light.
    """
    image = _checked("perfect image", np.asarray(perfect, dtype=np.float64))
    return float(image.max() / image.sum())


def _checked(what: str, image: NDArray[np.float64]) -> NDArray[np.float64]:
    if image.ndim != 2 or image.size == 0 or not np.isfinite(image).all():
        raise DataError(f"the {what} has shape {image.shape}; expected (height, width), all finite")
    if not (image.sum() > 0.0 and image.max() > 0.0):
        raise DataError(f"the {what} has no light; expected a star above the background")
    return image


def _concentration(what: str, image: NDArray[np.float64]) -> float:
    """Peak, also between pixels, over the sum."""
    spectrum = np.fft.fft2(_checked(what, image))
    y, x = map(float, np.unravel_index(image.argmax(), image.shape))
    step, best = 1.0, float(image.max())
    for _ in range(6):  # each time five times finer
        step /= 5.0
        fine = np.arange(-5, 6) * step
        rows, columns = _waves(y + fine, image.shape[0]), _waves(x + fine, image.shape[1])
        values = (rows @ spectrum @ columns.T).real / image.size
        i, j = np.unravel_index(values.argmax(), values.shape)
        y, x, best = y + fine[i], x + fine[j], float(values[i, j])
    return best / float(image.sum())


def _waves(places: NDArray[Any], size: int) -> NDArray[np.complex128]:
    """Exp(2 pi i k x / n), at the Nyquist frequency its real part, so that what is real stays so."""
    waves = np.exp(2j * np.pi * np.outer(places, np.fft.fftfreq(size)))
    if size % 2 == 0:
        waves[:, size // 2] = waves[:, size // 2].real
    return waves
