"""The supervised connection: by hand with a clock of ours, and with its thread and a fake OBS."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from connection_stage import LINKED, STEP_S, FakeLink, Handler, Stage
from fake_clock import Clock
from fake_obs import FakeObs, Fault

from liveedit_cam.obs.connection import (
    COLLECTION_LIMIT_S,
    DEFECT_SHOWN_S,
    MAX_EVENTS,
    PING_S,
    ObsConnection,
    ObsState,
    ObsStatus,
)
from liveedit_cam.obs.errors import (
    ObsError,
    ObsLost,
    ObsRequestRefused,
    ObsTooOld,
    ObsUnreachable,
    ObsWrongPassword,
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def connected(stage: Stage) -> Stage:
    stage.poll()
    assert stage.handler.take() == ["connected"]
    return stage


def said(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """What the connection logged at a level."""
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_a_connection_is_off_then_connected_and_says_with_whom(stage: Stage) -> None:
    """Catches a state shown too early, and versions that reach no status."""
    assert stage.connection.status() == ObsStatus(ObsState.OFF)
    stage.poll()
    assert stage.connection.status() == LINKED
    assert stage.handler.take() == ["connected"]


def test_a_missing_obs_is_tried_with_growing_waits_and_told_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a busy loop, a wait so long that a restarted OBS is found late, and a log full of
    the everyday case."""
    caplog.set_level(logging.DEBUG)
    stage.refusal = ObsUnreachable("Nobody listens.", hint="Start OBS.")
    stage.poll()
    stage.pass_time(13.0)
    assert stage.tries == [0.0, 0.5, 1.5, 3.5, 6.5, 9.5, 12.5]
    assert stage.connection.status() == ObsStatus(ObsState.WAITING, "Nobody listens. Start OBS.")
    assert said(caplog, logging.INFO) == ["Nobody listens. Start OBS."]
    assert stage.handler.take() == []


def test_the_waits_begin_short_again_after_a_connection(stage: Stage) -> None:
    """Catches a back-off that is never taken back."""
    stage.refusal = ObsUnreachable("Nobody listens.")
    stage.poll()
    stage.pass_time(4.0)
    stage.refusal = None
    stage.pass_time(3.0)
    assert stage.connection.status() == LINKED
    stage.end("cut")
    stage.poll()
    lost_at = stage.clock.now_s - 100.0
    stage.pass_time(1.0)
    assert stage.tries[-1] - lost_at == 0.5


@pytest.mark.parametrize("refusal", [ObsWrongPassword("Wrong password."), ObsTooOld("Too old.")])
def test_what_only_the_user_can_mend_is_tried_slowly_and_warned_of_once(
    stage: Stage, caplog: pytest.LogCaptureFixture, refusal: ObsError
) -> None:
    """Catches a wrong password hammered at OBS, and a mended one that is never tried."""
    stage.refusal = refusal
    stage.poll()
    stage.pass_time(65.0)
    assert stage.tries == [0.0, 30.0, 60.0]
    assert stage.connection.status() == ObsStatus(ObsState.WAITING, str(refusal))
    assert said(caplog, logging.WARNING) == [str(refusal)]


def test_events_reach_the_handler_in_order(connected: Stage) -> None:
    """Catches a queue emptied from the wrong end, or only its newest event kept."""
    for name in "ABC":
        connected.put(name, {})
    connected.poll(3)
    assert connected.handler.take() == ["A", "B", "C"]


def test_ticks_follow_the_clock_also_between_events(connected: Stage) -> None:
    """Catches ticks starved by a stream of events, and ticks as fast as the loop."""
    for _ in range(3):
        connected.put("A", {})
        connected.pass_time(STEP_S)
        connected.poll(5)
    assert connected.handler.take() == ["A", "tick"] * 3


def test_a_ping_goes_out_every_few_seconds(connected: Stage) -> None:
    """Catches a half-open connection that nothing would ever notice."""
    connected.pass_time(3 * PING_S)
    assert len(connected.link.requests) == 3


def test_a_ping_without_answer_brings_a_new_connection(connected: Stage) -> None:
    """Catches a dead link kept, a handler that is not told, and a second loss told."""
    first = connected.link
    first.failure = ObsLost("No answer.")
    connected.pass_time(PING_S)
    assert connected.handler.take()[-1] == "lost"
    assert first.is_closed
    assert connected.connection.status() == ObsStatus(ObsState.WAITING, "No answer.")
    connected.link = FakeLink()
    connected.pass_time(1.0)
    assert connected.handler.take()[0] == "connected"
    assert connected.connection.status() == LINKED


def test_a_refused_ping_shows_that_obs_lives(connected: Stage) -> None:
    """Catches a reconnect because OBS said "not ready"."""
    connected.link.failure = ObsRequestRefused("Not ready.", code=207, comment=None)
    connected.pass_time(2 * PING_S)
    assert connected.connection.status() == LINKED


def test_events_before_the_end_are_handled_before_the_loss(connected: Stage) -> None:
    """Catches the last scene switch dropped because OBS closed right after it."""
    connected.put("A", {})
    connected.end("cut")
    connected.poll(2)
    assert connected.handler.take() == ["A", "lost"]
    assert connected.link.is_closed
    assert "cut" in (connected.connection.status().detail or "")


def test_a_request_lost_inside_the_handler_ends_the_link(connected: Stage) -> None:
    """Catches a loss noticed by the handler that is taken for a defect of it."""

    def fail(what: str) -> None:
        if what == "A":
            raise ObsLost("No answer to GetSceneItemList.")

    connected.handler.fail = fail
    connected.put("A", {})
    connected.poll()
    assert connected.handler.take() == ["A", "lost"]
    assert connected.connection.status().state is ObsState.WAITING


def test_nothing_is_asked_while_the_scene_collection_changes(connected: Stage) -> None:
    """Catches requests between Changing and Changed, which may crash OBS: those of ticks, of the
    ping, and of events that came before; and events lost or out of order afterwards."""
    connected.put("A", {})
    connected.put("CurrentSceneCollectionChanging", {})
    connected.put("B", {})
    connected.pass_time(PING_S + 1.0)
    assert connected.handler.take() == []
    assert connected.link.requests == []
    connected.put("CurrentSceneCollectionChanged", {})
    connected.poll(4)
    told = [what for what in connected.handler.take() if what != "tick"]
    assert told == ["A", "CurrentSceneCollectionChanging", "B", "CurrentSceneCollectionChanged"]
    connected.pass_time(PING_S)
    assert connected.link.requests


def test_a_change_of_the_collection_that_never_ends_brings_a_new_connection(
    connected: Stage,
) -> None:
    """Catches a connection that is silent for good because one event is missing."""
    connected.put("CurrentSceneCollectionChanging", {})
    connected.pass_time(COLLECTION_LIMIT_S - 1.0)
    assert connected.connection.status() == LINKED
    connected.pass_time(4.0)
    assert connected.handler.take()[:2] == ["lost", "connected"]


def test_obs_that_quits_while_its_collection_changes_is_noticed(connected: Stage) -> None:
    """Catches a loss that waits behind the held events."""
    connected.put("CurrentSceneCollectionChanging", {})
    connected.end("cut")
    connected.poll()
    assert connected.handler.take() == ["lost"]


def test_an_obs_that_quits_is_left_alone_for_a_while(connected: Stage) -> None:
    """Catches a reconnect into an OBS that is just closing, and a link left open to it."""
    connected.put("ExitStarted", {})
    connected.poll()
    assert connected.handler.take() == ["lost"]
    assert connected.link.is_closed
    assert connected.connection.status() == ObsStatus(ObsState.WAITING, "OBS was closed")
    connected.pass_time(4.0)
    assert connected.tries == [0.0, 3.0]


def test_who_was_kicked_stays_away(connected: Stage) -> None:
    """Catches a reconnect after the Kick button of OBS, which the protocol forbids."""
    connected.link.close_code = 4011
    connected.end("kicked")
    connected.poll()
    connected.pass_time(120.0)
    assert len(connected.tries) == 1
    assert "Somebody ended" in (connected.connection.status().detail or "")


def test_too_many_waiting_events_bring_a_new_connection_without_a_gap(connected: Stage) -> None:
    """Catches memory without bound, and later events handled as if none had been dropped."""
    for number in range(MAX_EVENTS + 10):
        connected.put(str(number), {})
    connected.poll(5)
    connected.put("after the gap", {})
    connected.poll(MAX_EVENTS - 5 + 1)
    told = connected.handler.take()
    assert told == [*(str(number) for number in range(MAX_EVENTS)), "lost"]


def test_a_handler_that_fails_is_shown_and_the_events_go_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a thread that dies of one bad event, and one that hides it."""

    def fail(what: str) -> None:
        if what == "A":
            raise KeyError("sceneName")

    stage.handler.fail = fail
    stage.connection.start()
    stage.handler.wait("connected")
    for name in "AAB":
        stage.put(name, {})
    stage.handler.wait("A", "A", "B")
    shown = ObsStatus(ObsState.CONNECTED, "KeyError: 'sceneName'")
    assert stage.connection.status() == shown
    assert len(said(caplog, logging.ERROR)) == 1
    stage.connection.stop()


def test_a_defect_that_is_over_leaves_the_status(stage: Stage) -> None:
    """Issue 17. Catches its text in the status until OBS is started again."""

    def fail(what: str) -> None:
        if what == "A":
            raise KeyError("sceneName")

    stage.handler.fail = fail
    stage.connection.start()
    stage.handler.wait("connected")
    stage.put("A", {})
    stage.put("B", {})
    stage.handler.wait("A", "B")
    assert stage.connection.status().detail == "KeyError: 'sceneName'"
    stage.clock.now_s += DEFECT_SHOWN_S
    for name in "CD":  # the round of the first is over when the second is handled
        stage.put(name, {})
        stage.handler.wait(name)
    assert stage.connection.status() == LINKED
    stage.connection.stop()


def test_stop_closes_the_link_and_may_come_at_any_time(stage: Stage) -> None:
    """Catches a thread or a link left behind, and a stop that needs a start."""
    Stage().connection.stop()
    stage.connection.start()
    stage.handler.wait("connected")
    stage.connection.stop()
    stage.connection.stop()
    assert stage.link.is_closed
    stage.handler.wait("lost")
    assert stage.connection.status() == ObsStatus(ObsState.OFF)


def test_stop_ends_a_waiting_connection(stage: Stage) -> None:
    """Catches a thread that sleeps its back-off to the end: on this clock that is never."""
    stage.refusal = ObsUnreachable("Nobody listens.")
    stage.connection.start()
    stage.connection.stop()
    assert stage.connection.status() == ObsStatus(ObsState.OFF)


@dataclass
class Real:
    """The real link and thread against a fake OBS, on a clock of ours."""

    clock: Clock
    handler: Handler
    connection: ObsConnection


@pytest.fixture
def real(obs: FakeObs) -> Iterator[Real]:
    clock, handler = Clock(100.0), Handler()
    connection = ObsConnection(obs.address, handler, now=clock.now, timeout_s=0.5)
    connection.start()
    handler.wait("connected")
    yield Real(clock, handler, connection)
    connection.stop()


def test_a_killed_and_restarted_obs_is_found_and_its_events_come_again(
    obs: FakeObs, real: Real
) -> None:
    """Catches a new link without subscription, and a loss that only a ping would find."""
    obs.stop()
    real.handler.wait("lost")
    obs.start()
    real.clock.now_s += 3.0
    real.handler.wait("connected")
    assert real.connection.status() == LINKED
    obs.emit("SceneTransitionStarted", transitionName="Fade")
    real.handler.wait("SceneTransitionStarted")
    assert obs.identifies[0]["eventSubscriptions"] == obs.identifies[1]["eventSubscriptions"]


def test_a_half_open_connection_is_found_by_the_ping(obs: FakeObs, real: Real) -> None:
    """Catches an OBS that froze or a network that went away, with the socket still open."""
    obs.fault = Fault.SILENT
    real.clock.now_s += PING_S
    real.handler.wait("lost")
    obs.fault = Fault.NONE
    real.clock.now_s += 3.0
    real.handler.wait("connected")


def test_a_malformed_message_brings_a_new_connection(obs: FakeObs, real: Real) -> None:
    """Catches a reader that is dead while the status says connected."""
    obs.send_text("{not json")
    real.handler.wait("lost")
    real.clock.now_s += 3.0
    real.handler.wait("connected")
