"""HDR (PQ, HLG) and wide-gamut pictures brought to BT.709, for screens and models that know no HDR.

Display light in cd/m² is computed, its highlights are rolled off (ITU-R BT.2390-11, section 5.4.1,
from 1000 cd/m², which most content is graded for, to BT.2408's reference white), the primaries are
turned and the result is written for a display of gamma 2.4 (BT.1886). Knows no file.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.types import Pixels

Table = NDArray[np.float64]

PQ, HLG = 16, 18
"""Codes of the transfer characteristics (ISO/IEC 23091-2)."""
_BT2020 = 9
"""Code of its primaries."""
_PEAK, _WHITE = 1000.0, 203.0
"""Brightest light kept apart, and SDR white, in cd/m² (ITU-R BT.2408)."""
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""Linear light, rows = R, G, B of BT.709 (ITU-R BT.2087)."""
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_LEVELS = 1 << 16
_BAND_ROWS = 64
"""Rows worked on at a time: a 3840 wide band takes 3 MB, which the cache holds."""


class ToneMap:
    """From 16-bit R'G'B' of one transfer to 8-bit BT.709."""

    @staticmethod
    def is_needed(transfer: int, primaries: int) -> bool:
        """Whether a picture with these codes is HDR or has the primaries of BT.2020."""
        return transfer in (PQ, HLG) or primaries == _BT2020

    def __init__(self, transfer: int, primaries: int) -> None:
        """Make the tables; ``transfer`` and ``primaries`` are codes of ISO/IEC 23091-2."""
        self.made_for = (transfer, primaries)
        self._is_hdr = transfer in (PQ, HLG)
        self._is_hlg = transfer == HLG
        # HDR is BT.2020 by definition (BT.2100), also where a file forgets to say so
        self._is_wide = self._is_hdr or primaries == _BT2020
        signal = np.linspace(0, 1, _LEVELS)
        if transfer == PQ:
            light = np.minimum(pq_to_light(signal), _PEAK)
        elif transfer == HLG:
            light = hlg_to_scene(signal)
        else:
            light = signal**2.4 * _WHITE
        self._light = light.astype(np.float32)
        self._gain = _highlight_gain(np.linspace(0, _PEAK, _LEVELS)).astype(np.float32)
        self._system_gain = (np.linspace(0, 1, _LEVELS) ** 0.2 * _PEAK).astype(np.float32)
        self._out = np.rint(signal ** (1 / 2.4) * 255).astype(np.uint8)

    def __call__(self, pixels: NDArray[np.generic]) -> Pixels:
        """Take uint16 (H, W, 3) R'G'B', full range; give RGB uint8 (H, W, 3)."""
        out: Pixels = np.empty(pixels.shape, np.uint8)
        for top in range(0, len(pixels), _BAND_ROWS):
            out[top : top + _BAND_ROWS] = self._band(pixels[top : top + _BAND_ROWS])
        return out

    def _band(self, signal: NDArray[np.generic]) -> Pixels:
        """A band of shape (h, W, 3), as the whole picture."""
        light = self._light[signal]
        if self._is_hlg:  # the OOTF of BT.2100 for a display of 1000 cd/m², gamma 1.2
            scene = np.asarray(cv2.transform(light, _LUMA[None]), np.float32)
            light *= self._system_gain[_index(scene, 1.0)].reshape(*scene.shape[:2], 1)
        if self._is_hdr:
            brightest = light.max(axis=2, keepdims=True)
            light *= self._gain[_index(brightest, _PEAK)]
        if self._is_wide:
            light = np.asarray(cv2.transform(light, _BT2020_TO_BT709), np.float32)
        return self._out[_index(light, _WHITE)]


def _index(values: NDArray[np.float32], top: float) -> NDArray[np.uint16]:
    """Places in a table over 0..``top``, the shape of ``values``; its ends for what is outside."""
    scaled = np.clip(values * ((_LEVELS - 1) / top), 0, _LEVELS - 1)
    return np.asarray(scaled, np.uint16)


def pq_to_light(signal: Table) -> Table:
    """Display light in cd/m² of a PQ signal 0..1 (SMPTE ST 2084, EOTF)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    return 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def light_to_pq(light: Table) -> Table:
    """PQ signal 0..1 of display light in cd/m² (SMPTE ST 2084, inverse EOTF)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (light / 10_000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg_to_scene(signal: Table) -> Table:
    """Scene light 0..1 of an HLG signal 0..1 (ITU-R BT.2100, inverse OETF)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _highlight_gain(light: Table) -> Table:
    """What to multiply ``light`` (cd/m², up to ``_PEAK``) by, so that it ends at ``_WHITE``."""
    source_top = light_to_pq(np.array(_PEAK))
    signal = light_to_pq(light) / source_top
    top = float(light_to_pq(np.array(_WHITE)) / source_top)
    knee = 1.5 * top - 0.5
    t = np.clip((signal - knee) / (1 - knee), 0, 1)
    rolled = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * top
    )
    mapped = pq_to_light(np.where(signal < knee, signal, rolled) * source_top)
    return mapped / np.maximum(light, 1e-6)
