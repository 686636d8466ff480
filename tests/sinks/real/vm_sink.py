"""Our sink on a device of its own: opening, closing, other writers and readers that stay."""

from __future__ import annotations

import errno
import itertools
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyvirtualcam
import vm_editor
import vm_readers
from vm_checks import wait_for

from liveedit_cam.errors import SinkError
from liveedit_cam.sinks._v4l2loopback import Abilities, Node, abilities
from liveedit_cam.sinks.virtual_camera import VirtualCamera
from liveedit_cam.types import Frame

LIVEEDIT, SPARE, OPEN, CAMERA = "/dev/video9", "/dev/video10", "/dev/video11", "/dev/video0"
"""Two devices with exclusive_caps=1, one without, and the test camera."""
WIDTH, HEIGHT = 320, 180
NUM_BYTES = WIDTH * HEIGHT * 3 // 2


def frame(grey: int, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    return Frame(np.full((height, width, 3), grey, np.uint8), index=0, captured_at=0.0)


@contextmanager
def sink(
    target: str = "Spare", width: int = WIDTH, height: int = HEIGHT
) -> Iterator[VirtualCamera]:
    camera = VirtualCamera(target, width, height, 15.0)
    try:
        yield camera
    finally:
        camera.close()


@contextmanager
def reader(path: str = SPARE) -> Iterator[Callable[[], int]]:
    """Opens ``path``; calling the result reads on to the newest picture: its grey, -1 = none."""
    node = Node(path)

    def newest() -> int:
        luma = -1
        for _ in range(8):
            try:
                luma = node.read(NUM_BYTES)[0]
            except OSError as error:  # the driver 0.15 says EIO where there is no writer
                if error.errno not in (errno.EAGAIN, errno.EIO):
                    raise
                break
        return luma if luma < 0 else round((luma - 16) * 255 / 219)

    try:
        yield newest
    finally:
        node.close()


def announced(path: str = SPARE) -> Abilities:
    node = Node(path)
    try:
        return abilities(node)
    finally:
        node.close()


def is_free(path: str = SPARE) -> bool:
    found = announced(path)
    return found.can_output and not found.can_capture


def refusal(target: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    """What the user is told where opening must fail."""
    try:
        VirtualCamera(target, width, height, 15.0).close()
    except SinkError as error:
        return str(error)
    raise AssertionError(f"virtual-camera:{target} was opened, expected a refusal")


def expect(pattern: str, text: str) -> str:
    assert re.search(pattern, text), f"got {text!r}, expected {pattern!r}"
    return text


def it_is_chosen_by_label_path_and_number() -> str:
    """Catches a label that is taken for a path, and a target that is dropped."""
    names = []
    for target in ("Spare", "spar", SPARE, "10"):
        with sink(target) as camera:
            names.append(camera.name)
    assert set(names) == {"virtual-camera:Spare on /dev/video10 (320x180 at 15 fps)"}, names
    return names[0]


def it_is_reopened_again_and_again() -> str:
    """Catches a device that the old driver leaves without any ability after a close."""
    for _ in range(3):
        with sink() as camera, reader() as newest:
            camera.write(frame(100))
            assert not announced().can_output
            assert abs(newest() - 100) <= 1
        assert is_free(), announced()
    return "three times"


def what_another_library_left_is_repaired() -> str:
    """Catches the lost repair: pyvirtualcam leaves a device of the driver 0.12 mute."""
    other = pyvirtualcam.Camera(WIDTH, HEIGHT, 15, device=SPARE)
    other.send(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    other.close()
    left = announced()
    needs_repair = not Path("/sys/module/v4l2loopback/version").exists()  # 0.12 tells none
    assert left.can_output != needs_repair, f"not what is known of the driver: {left}"
    with sink() as camera, reader() as newest:
        camera.write(frame(80))
        assert abs(newest() - 80) <= 1
    assert is_free(), announced()
    return f"left {left}"


def a_reader_that_came_first_gets_pictures() -> str:
    """Catches a sink that takes a waiting reader for another writer."""
    with reader(OPEN) as newest, sink("Open") as camera:
        camera.write(frame(60))
        assert abs(newest() - 60) <= 1
    return "on the device without exclusive_caps"


def a_reader_that_stays_goes_on_after_a_restart() -> str:
    """Catches a device that counts as busy because of a reader, and a size that changes for it."""
    with reader() as newest:
        with sink() as camera:
            camera.write(frame(50))
            assert abs(newest() - 50) <= 1
        told = expect(r"stays at 320x180 YU12.*640x360 YU12.*python", refusal("Spare", 640, 360))
        with sink() as camera:
            camera.write(frame(150))
            assert abs(newest() - 150) <= 1
    with sink(width=640, height=360) as camera:
        camera.write(frame(10, 640, 360))
    return told


@contextmanager
def other_process(target: str) -> Iterator[int]:
    """A process that writes grey 30 to ``target``, killed in the end; yields its number."""
    child = os.fork()
    if child == 0:
        camera = VirtualCamera(target, WIDTH, HEIGHT, 15.0)
        while True:
            camera.write(frame(30))
            time.sleep(0.05)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def a_killed_writer_does_no_harm() -> str:
    """Catches a clean-up that only ``close`` does: the process is killed while it writes."""
    with reader() as newest:
        with other_process("Spare") as number:
            wait_for(lambda: announced().can_capture, "writer")
            wait_for(lambda: newest() == 30, "picture")
            busy = expect(rf"already.*python\S* \({number}\)", refusal("Spare"))
        with sink() as camera:
            camera.write(frame(200))
            assert abs(newest() - 200) <= 1
    return busy


def another_program_is_named() -> str:
    """Catches two writers on one device, whose pictures would alternate."""
    form = f"--set-fmt-video-out=width={WIDTH},height={HEIGHT},pixelformat=YU12"
    writer = subprocess.Popen(["v4l2-ctl", "-d", SPARE, form, "--stream-out-mmap"])
    try:
        wait_for(lambda: announced().can_capture, "writer")
        told = expect(rf"already.*v4l2-ctl \({writer.pid}\)", refusal("Spare"))
    finally:
        writer.kill()
        writer.wait()
    with sink() as camera:
        camera.write(frame(0))
    assert is_free(), announced()
    return told


@contextmanager
def painting() -> Iterator[None]:
    """Our sink shows the painted picture on LiveEdit, about ten times a second."""
    width, height = vm_editor.SIZE
    black = np.zeros((height, width, 3), np.uint8)
    stop = threading.Event()

    def write(camera: VirtualCamera) -> None:
        for count in itertools.count():
            camera.write(Frame(vm_editor.paint(black, count), index=count, captured_at=0.0))
            if stop.wait(0.1):
                return

    with sink("LiveEdit", width, height) as camera:
        camera.write(Frame(black, index=0, captured_at=0.0))  # from now on it can be read
        thread = threading.Thread(target=write, args=(camera,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def opencv_and_pyav_see_the_colours() -> str:
    """Catches another matrix, swapped channels or planes, and a size that readers misread."""
    with painting():
        opencv = vm_readers.verify(vm_readers.from_opencv(), None)
        return f"OpenCV {opencv}; PyAV {vm_readers.verify(vm_readers.from_pyav(), None)}"


def wrong_targets_are_explained() -> str:
    """Catches messages without the labels there are, and a webcam taken for a virtual camera."""
    labels = r"LiveEdit \(/dev/video9\), Spare \(/dev/video10\), Open \(/dev/video11\)"
    expect(f"No virtual camera is called 'Zoom'.*{labels}", refusal("Zoom"))
    expect(f"no device /dev/video42.*{labels}", refusal("/dev/video42"))
    return expect(f"{CAMERA} is no virtual camera.*'vivid'.*{labels}", refusal(CAMERA))


def a_missing_permission_names_the_group() -> str:
    """Catches advice about a group that does not own the node."""
    os.chown(SPARE, 0, 44)
    os.chmod(SPARE, 0o660)
    os.seteuid(65534)
    try:
        return expect("group 'video'.*usermod -aG video", refusal("Spare"))
    finally:
        os.seteuid(0)


def the_first_free_one_is_taken() -> str:
    """Catches a sink that gives up at a busy device although another one is free."""
    with other_process("LiveEdit"):
        wait_for(lambda: announced(LIVEEDIT).can_capture, "writer")
        with sink("") as camera:
            assert SPARE in camera.name, camera.name
            return camera.name


def a_reader_is_noticed_when_it_comes_and_when_it_goes() -> str:
    """Our own writer is no reader, and ten openings in a row leave nobody behind."""
    with sink() as camera:
        camera.write(frame(50))
        assert not camera.has_reader(), "our own writer counts as a reader"
        with reader():
            assert camera.has_reader(), "a reader was not noticed"
        assert not camera.has_reader(), "a reader that left still counts"
        for _ in range(10):
            os.close(os.open(SPARE, os.O_RDWR))
        assert not camera.has_reader(), "programs that only looked still count"
    return "noticed"


CHECKS = (
    a_reader_is_noticed_when_it_comes_and_when_it_goes,
    it_is_chosen_by_label_path_and_number,
    it_is_reopened_again_and_again,
    what_another_library_left_is_repaired,
    a_reader_that_came_first_gets_pictures,
    a_reader_that_stays_goes_on_after_a_restart,
    a_killed_writer_does_no_harm,
    another_program_is_named,
    opencv_and_pyav_see_the_colours,
    wrong_targets_are_explained,
    a_missing_permission_names_the_group,
    the_first_free_one_is_taken,
)
