"""How well a frame represents its video: clear, well lit, not black, not blurred, not a title on a plain ground."""

import numpy as np
from numpy.typing import NDArray

POOR = 0.05  # a frame below is black, white, blurred or empty

_DARK, _LIT = 0.06, 0.25  # mean brightness from 0 to 1: of a frame that is black, and of one that is lit
_BRIGHT, _WHITE = 0.8, 0.97
_CONTRAST = 0.2  # the standard deviation of a picture with full contrast
_SHARP = 0.03  # of the second derivative: half the score
_LEVELS = 32


def score(picture: NDArray[np.uint8]) -> float:
    """From 0 to 1, of a grey picture of some 320 by 180 pixels in full range."""
    if min(picture.shape) < 3:
        return 0.0
    values = picture.astype(np.float32) / np.float32(255)
    mean = float(values.mean())
    is_lit = _ramp(mean, _DARK, _LIT) * (1 - _ramp(mean, _BRIGHT, _WHITE))
    contrast = min(1.0, float(values.std()) / _CONTRAST)
    edges = float(_laplacian(values).std())
    return is_lit * (0.25 + 0.75 * contrast) * _variety(picture) * edges / (edges + _SHARP)


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _laplacian(values: NDArray[np.float32]) -> NDArray[np.float32]:
    around = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    edges: NDArray[np.float32] = 4 * values[1:-1, 1:-1] - around
    return edges


def _variety(picture: NDArray[np.uint8]) -> float:
    """The entropy of the brightness, from 0 for one level to 1 for all levels alike."""
    counts = np.bincount(picture.reshape(-1) // (256 // _LEVELS), minlength=_LEVELS)
    shares = counts[counts > 0] / picture.size
    return float(-(shares * np.log2(shares)).sum() / np.log2(_LEVELS))
