"""The model hub, through huggingface_hub: a file's version there, and its bytes from any point.

The only file that knows that library. Address, login and offline switch are the library's own
(HF_ENDPOINT, HF_TOKEN or a login, HF_HUB_OFFLINE), so mirrors work. Its own downloader is not used:
it throws away what it has when a download is cut. Knows nothing of disks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from liveedit_cam.errors import LiveEditError, MissingDependencyError, WeightsError

try:
    from filelock import FileLock, Timeout
    from huggingface_hub import (
        get_hf_file_metadata,
        get_session,
        hf_hub_url,
        hf_raise_for_status,
        is_offline_mode,
    )
    from huggingface_hub.errors import (
        FileMetadataError,
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,
        OfflineModeIsEnabled,
        RemoteEntryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import build_hf_headers
except ImportError as error:
    raise MissingDependencyError(
        f"models cannot be pulled: {error}.", hint="Install it: pip install 'liveedit-cam[wan]'"
    ) from error

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOG_IN = (
    "Log in with `hf auth login`, or set HF_TOKEN to a token of an account that may read it; "
    "open the repository's page once if it asks to accept its terms."
)


class InterruptedDownload(WeightsError):
    """The connection failed, stalled or was cut; another try may go on from there."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """The version of a file that the hub has now."""

    repository: str
    path: str
    commit: str
    etag: str
    """Changes whenever the file does."""
    size_bytes: int | None
    """None = the hub does not say."""

    @property
    def sha256(self) -> str | None:
        """The hub's own checksum: of large files their mark is one; None for small files."""
        return self.etag if _SHA256.fullmatch(self.etag) else None


@dataclass(frozen=True, slots=True)
class Download:
    """A response whose bytes are about to come."""

    start: int
    """Position in the file of the first byte; 0 where the server cannot begin elsewhere."""
    pieces: Iterator[bytes]


class Hub:
    """One hub. Any thread may call it."""

    def __init__(self, endpoint: str | None = None, *, timeout_s: float = 20.0) -> None:
        """``endpoint`` None = the library's own; ``timeout_s`` bounds each wait for the server."""
        self._endpoint = endpoint
        self._timeout_s = timeout_s

    def look_up(self, repository: str, path: str, revision: str) -> HubFile:
        """Ask for the version of a file. Raises InterruptedDownload or WeightsError."""
        url = hf_hub_url(repository, path, revision=revision, endpoint=self._endpoint)
        with _translated(f"{repository}: {path}", revision):
            found = get_hf_file_metadata(url, timeout=self._timeout_s, endpoint=self._endpoint)
            if found.commit_hash is None or found.etag is None:
                raise FileMetadataError("the answer has no commit or no ETag")
            return HubFile(repository, path, found.commit_hash, found.etag, found.size)

    @contextmanager
    def download(self, file: HubFile, start: int) -> Iterator[Download]:
        """Open exactly that version at byte ``start``; errors as ``look_up``, to the end."""
        url = hf_hub_url(file.repository, file.path, revision=file.commit, endpoint=self._endpoint)
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with (
            _translated(f"{file.repository}: {file.path}", file.commit),
            get_session().stream("GET", url, headers=headers, timeout=self._timeout_s) as response,
        ):
            hf_raise_for_status(response)
            begins = start if response.status_code == 206 else 0
            yield Download(begins, response.iter_bytes())


def is_offline() -> bool:
    """Whether the user has switched the hub off (HF_HUB_OFFLINE)."""
    return is_offline_mode()


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Be the only one who fills ``folder``. Raises WeightsError where another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise WeightsError(
            f"got a second pull into {folder} while another one runs",
            hint="Wait for the other one, or end it.",
        ) from error


@contextmanager
def _translated(what: str, revision: str) -> Iterator[None]:
    """Turn what the library raises into an error that says what to do."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise WeightsError(
            f"{what} is asked of the hub, but HF_HUB_OFFLINE is set", hint="Unset it to pull."
        ) from error
    except HfHubHTTPError as error:
        raise _refusal(error, what, revision) from error
    except FileMetadataError as error:
        raise WeightsError(
            f"{what}: what answers is no model hub ({error})",
            hint="Check HF_ENDPOINT, proxy and firewall.",
        ) from error
    except HTTPError as error:
        raise InterruptedDownload(
            f"{what}: the hub does not answer, or stopped answering ({_in_words(error)})",
            hint="Check the connection and pull again; what has arrived is kept.",
        ) from error


def _refusal(error: HfHubHTTPError, what: str, revision: str) -> LiveEditError:
    """What an HTTP status means, of the most precise kind first."""
    status = error.response.status_code
    if isinstance(error, RemoteEntryNotFoundError):
        return _gone(f"{what} is not in the repository at revision {revision} (HTTP {status})")
    if isinstance(error, RevisionNotFoundError):
        return _gone(f"{what}: the repository has no revision {revision} (HTTP {status})")
    if status in (401, 403) or isinstance(error, GatedRepoError):
        return WeightsError(
            f"{what}: the hub wants to know who asks (HTTP {status}); the repository is private, "
            f"gated or gone, or the token is wrong",
            hint=_LOG_IN,
        )
    if status == 404:
        return _gone(f"{what}: there is no such repository (HTTP 404)")
    if status == 429 or status >= 500:
        return InterruptedDownload(
            f"{what}: the hub is busy or out of order (HTTP {status})",
            hint="Pull again later; what has arrived is kept.",
        )
    return WeightsError(f"{what}: the hub refuses (HTTP {status})", hint="Update liveedit-cam.")


def _gone(message: str) -> WeightsError:
    return WeightsError(
        message, hint="Update liveedit-cam: its list of files may be older than the repository."
    )


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
