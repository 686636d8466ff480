"""An edit field put on a full-size picture. No torch, no thread, no clock.

    carried = Carrier().carry(field, small)          # to a later frame, by optical flow
    edited = put_on(picture, carried)                # uint8 (H, W, 3) RGB

``put_on_exact`` is the slow twin of ``put_on``.
"""

from liveedit_cam.compositing.affine import put_on, put_on_exact
from liveedit_cam.compositing.carry import Carrier
from liveedit_cam.compositing.cuts import CutDetector
from liveedit_cam.compositing.fade import CrossFade

__all__ = ["Carrier", "CrossFade", "CutDetector", "put_on", "put_on_exact"]
