"""Pulling from a hub that fails: what was brought is kept, what is wrong is never installed."""

from __future__ import annotations

import errno
import hashlib
import logging
from pathlib import Path

import pytest
from fake_hub import FakeHub, Fault, Refusal
from tiny_store import (
    BASE,
    CHECKPOINT,
    EDITOR,
    ENTRY,
    SHARD,
    SHARD_CONTENT,
    Puller,
    checkpoint_bytes,
    fill,
    with_file,
)

from liveedit_cam.errors import WeightsError
from liveedit_cam.store.installed import is_installed
from liveedit_cam.store.transfer import MAX_TRIES, RETRY_AFTER_S

SIZE = len(SHARD_CONTENT)


@pytest.fixture
def puller(server: FakeHub, tmp_path: Path) -> Puller:
    """A hub with a whole model, and nothing pulled."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    fill(server)
    return Puller(server, tmp_path / "models" / "tiny")


def partial_files(puller: Puller) -> list[Path]:
    return sorted(puller.folder.parent.rglob("shard.safetensors.*.part"))


def refusal(puller: Puller) -> str:
    """The message of a pull that must fail and must not install anything."""
    with pytest.raises(WeightsError) as caught:
        puller.pull()
    assert not puller.folder.exists()
    assert not is_installed(puller.entry, puller.folder)
    return str(caught.value)


def test_a_cut_connection_goes_on_where_it_was(server: FakeHub, puller: Puller) -> None:
    """Catches a retry from the start, and bytes lost or doubled at the seam."""
    server.files[BASE, SHARD].faults += [Fault(1000), Fault(0), Fault(500)]
    puller.pull()
    assert server.starts_of(SHARD) == [0, 1000, 1000, 1500]
    assert puller.pauses == [RETRY_AFTER_S] * 3
    assert (puller.folder / "text/shard.safetensors").read_bytes() == SHARD_CONTENT


def test_tries_are_counted_without_progress_only(server: FakeHub, puller: Puller) -> None:
    """Catches a bad line given up although every try brings something."""
    server.files[BASE, SHARD].faults += [Fault(1000)] * (MAX_TRIES + 3)
    puller.pull()
    assert is_installed(ENTRY, puller.folder)


def test_a_pull_that_gave_up_goes_on_at_the_next(server: FakeHub, puller: Puller) -> None:
    """Catches bytes thrown away at the end of a process; the next plan counts them as there."""
    server.files[BASE, SHARD].faults += [Fault(1000), *[Fault(0)] * (MAX_TRIES - 1)]
    message = refusal(puller)
    assert "the hub does not answer, or stopped answering" in message
    assert message.endswith("pull again; what has arrived is kept.")
    step = next(step for step in puller.plan().steps if step.file.path == SHARD)
    assert step.arrived_bytes == 1000
    assert CHECKPOINT not in {step.file.path for step in puller.plan().steps}
    puller.pull()
    assert server.starts_of(SHARD)[-1] == 1000
    assert server.starts_of(CHECKPOINT) == [0]
    assert (puller.folder / "text/shard.safetensors").read_bytes() == SHARD_CONTENT


def test_a_killed_pull_goes_on_at_the_next(server: FakeHub, puller: Puller) -> None:
    """Catches bytes that only an orderly end writes down: Ctrl-C may come in any report."""
    server.files[BASE, SHARD].faults += [Fault(5000)]

    def kill(label: str, done: int) -> None:
        if label == SHARD and done == 5000:
            raise KeyboardInterrupt

    puller.on_report = kill
    with pytest.raises(KeyboardInterrupt):
        puller.pull()
    assert not is_installed(ENTRY, puller.folder)
    puller.on_report = lambda label, done: None
    puller.pull()
    assert server.starts_of(SHARD) == [0, 5000]
    assert (puller.folder / "text/shard.safetensors").read_bytes() == SHARD_CONTENT


def test_a_silent_server_is_left_and_asked_again(server: FakeHub, puller: Puller) -> None:
    """Catches a pull that hangs for ever; the server stays silent until the test is over."""
    puller.timeout_s = 0.2
    server.files[BASE, SHARD].faults += [Fault(3000, stalls=True)]
    puller.pull()
    assert server.starts_of(SHARD) == [0, 3000]
    assert is_installed(ENTRY, puller.folder)


def test_a_server_that_cannot_resume_begins_anew(server: FakeHub, puller: Puller) -> None:
    """Catches the whole file appended to its own beginning."""
    server.files[BASE, SHARD].faults += [Fault(1000), Fault(ignores_range=True)]
    puller.pull()
    assert (puller.folder / "text/shard.safetensors").read_bytes() == SHARD_CONTENT


def test_a_file_that_changes_between_two_tries_is_not_joined(
    server: FakeHub, puller: Puller
) -> None:
    """Catches the beginning of the old version before the end of the new one."""
    server.files[BASE, SHARD].faults += [Fault(1000), *[Fault(0)] * (MAX_TRIES - 1)]
    refusal(puller)
    assert [path.stat().st_size for path in partial_files(puller)] == [1000]
    newer = SHARD_CONTENT[::-1]
    server.commit = "d" * 40
    server.store(BASE, SHARD, newer)
    versions_there: set[int] = set()
    puller.on_report = lambda label, done: versions_there.add(len(partial_files(puller)))
    receipt = puller.pull()
    assert max(versions_there) == 1, "the old version's bytes must make room for the new one's"
    assert (puller.folder / "text/shard.safetensors").read_bytes() == newer
    assert server.starts_of(SHARD)[-1] == 0
    record = receipt.find("text/shard.safetensors")
    assert record is not None
    assert record.commit == "d" * 40


def test_a_gathered_file_of_an_older_version_is_fetched_again(
    server: FakeHub, puller: Puller
) -> None:
    """Catches a model of two versions: one file whole before the change, the other after."""
    server.files[BASE, SHARD].faults += [Fault(0)] * MAX_TRIES
    refusal(puller)
    server.store(EDITOR, CHECKPOINT, checkpoint_bytes(seed=5))
    puller.pull()
    assert server.starts_of(CHECKPOINT) == [0, 0]


def test_a_wrong_checksum_deletes_the_file(server: FakeHub, puller: Puller) -> None:
    """Catches a file of the right size and other bytes taken, or resumed from, for ever."""
    server.files[BASE, SHARD].served = b"\xff" + SHARD_CONTENT[1:]
    message = refusal(puller)
    assert f"{BASE}: {SHARD} came as {SIZE} bytes with SHA-256" in message
    assert f"expected {SIZE} bytes with SHA-256 {server.files[BASE, SHARD].etag}" in message
    assert "it has been deleted" in message
    assert partial_files(puller) == []
    server.files[BASE, SHARD].served = None
    puller.pull()
    assert is_installed(ENTRY, puller.folder)


def test_the_known_checksum_counts_more_than_the_hubs(server: FakeHub, puller: Puller) -> None:
    """Catches a mirror that vouches for its own file."""
    known = hashlib.sha256(b"the released file").hexdigest()
    puller.entry = with_file(1, sha256=known)
    assert f"with SHA-256 {known}; it has been deleted" in refusal(puller)


def test_another_size_than_known_is_said_before_fetching(server: FakeHub, puller: Puller) -> None:
    """Catches gigabytes fetched of a file that cannot be the right one."""
    puller.entry = with_file(1, size_bytes=SIZE + 1)
    assert f"has {SIZE} bytes on the hub, expected {SIZE + 1}" in refusal(puller)
    assert server.asked == []


def test_a_file_gone_from_the_repository_is_said(server: FakeHub, puller: Puller) -> None:
    """Catches a 404 without a name; nothing else is fetched before it is known."""
    del server.files[BASE, SHARD]
    assert f"{BASE}: {SHARD} is not in the repository at revision main (HTTP 404)" in refusal(
        puller
    )
    assert server.asked == []


@pytest.mark.parametrize(
    ("status", "code", "words", "way_out"),
    [
        (404, "RepoNotFound", "there is no such repository (HTTP 404)", "Update liveedit-cam"),
        (404, "", "there is no such repository (HTTP 404)", "Update liveedit-cam"),
        (404, "RevisionNotFound", "has no revision main (HTTP 404)", "Update liveedit-cam"),
        (401, "", "wants to know who asks (HTTP 401)", "hf auth login"),
        (401, "RepoNotFound", "wants to know who asks (HTTP 401)", "HF_TOKEN"),
        (403, "GatedRepo", "wants to know who asks (HTTP 403)", "accept its terms"),
        (429, "", "busy or out of order (HTTP 429)", "Pull again later"),
        (503, "", "busy or out of order (HTTP 503)", "Pull again later"),
        (418, "", "the hub refuses (HTTP 418)", "Update liveedit-cam"),
    ],
)
def test_each_refusal_says_what_to_do(
    server: FakeHub, puller: Puller, status: int, code: str, words: str, way_out: str
) -> None:
    """Catches a stack trace of the hub's library, or "try again" where a login is needed."""
    server.files[EDITOR, CHECKPOINT].refusal = Refusal(status, code)
    message = refusal(puller)
    assert f"{EDITOR}: {CHECKPOINT}" in message
    assert words in message
    assert way_out in message


def test_a_login_asked_for_between_two_files_is_said(server: FakeHub, puller: Puller) -> None:
    """Catches a refusal while bytes are fetched, retried as if it were a cut line."""

    def close_the_door(label: str, done: int) -> None:
        server.files[BASE, SHARD].refusal = Refusal(401)

    puller.on_report = close_the_door
    assert "hf auth login" in refusal(puller)
    assert puller.pauses == []


def test_what_is_no_hub_is_said(server: FakeHub, puller: Puller) -> None:
    """Catches a sign-in page of a network taken for a model."""
    server.is_hub = False
    message = refusal(puller)
    assert "what answers is no model hub" in message
    assert message.endswith("Check HF_ENDPOINT, proxy and firewall.")


def test_nobody_there_is_said(server: FakeHub, puller: Puller) -> None:
    """Catches a connection error of another library."""
    puller.server = FakeHub()
    puller.server.close()
    assert "the hub does not answer" in refusal(puller)


def test_a_disk_that_fills_up_keeps_what_is_there(server: FakeHub, puller: Puller) -> None:
    """Catches a full disk as a stack trace, and hours of fetching lost to it."""
    server.files[BASE, SHARD].faults += [Fault(4000)]

    def fill_up(label: str, done: int) -> None:
        if label == SHARD and done == 4000:
            raise OSError(errno.ENOSPC, "No space left on device")

    puller.on_report = fill_up
    message = refusal(puller)
    assert "got a full disk at" in message
    assert message.endswith("Make room and pull again; what has arrived is kept.")
    puller.on_report = lambda label, done: None
    puller.pull()
    assert server.starts_of(SHARD) == [0, 4000]


def test_a_disk_that_fills_up_while_converting_is_said(server: FakeHub, puller: Puller) -> None:
    """Catches half a conversion installed, and its source fetched twice."""

    def fill_up(label: str, done: int) -> None:
        if label.startswith("converting") and done > 10_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    puller.on_report = fill_up
    assert "got a full disk at" in refusal(puller)
    puller.on_report = lambda label, done: None
    puller.pull()
    assert server.starts_of(CHECKPOINT) == [0]
    assert is_installed(ENTRY, puller.folder)
