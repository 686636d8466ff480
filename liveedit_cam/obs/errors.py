"""What can go wrong with OBS; a branch of the tree in ``liveedit_cam.errors``.

ControlError
└── ObsError
    ├── ObsUnreachable        nobody listens, or it is no obs-websocket
    ├── ObsWrongPassword      a password is wanted and ours is missing or wrong
    ├── ObsTooOld             another version of the protocol
    ├── ObsLost               the connection ended or went silent; the link is dead
    └── ObsRequestRefused     OBS said no to one request; the link lives on
"""

from __future__ import annotations

from liveedit_cam.errors import ControlError


class ObsError(ControlError):
    """Base of all errors about OBS."""


class ObsUnreachable(ObsError):
    """No obs-websocket answers at the address."""


class ObsWrongPassword(ObsError):
    """OBS wants a password and ours is missing or wrong."""


class ObsTooOld(ObsError):
    """OBS speaks a version of the protocol that we do not."""


class ObsLost(ObsError):
    """The connection ended or did not answer in time; this link is of no more use."""


class ObsRequestRefused(ObsError):
    """OBS refused one request; ``code`` and ``comment`` are the protocol's own."""

    def __init__(
        self, message: str, *, code: int, comment: str | None, hint: str | None = None
    ) -> None:
        """``comment`` None = OBS gave no words."""
        super().__init__(message, hint=hint)
        self.code = code
        self.comment = comment
