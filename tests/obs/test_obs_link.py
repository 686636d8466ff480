"""One connection to OBS, over a real socket to a fake OBS."""

from __future__ import annotations

import json
import queue
import threading
from typing import Any

import pytest
from connection_stage import SHORT_S, Caller
from fake_obs import PATIENCE_S, FakeObs, Fault, Refusal, Request

from liveedit_cam.obs.errors import (
    ObsLost,
    ObsRequestRefused,
)
from liveedit_cam.obs.link import ObsVersion, connect


def test_a_connection_proves_its_password_and_learns_the_version(
    obs: FakeObs, caller: Caller
) -> None:
    """Catches a proof the protocol does not know, and a version read under a wrong name."""
    link = caller.connect(obs.address)
    assert link.version == ObsVersion("29.0.2", "5.1.0", 1)
    assert "authentication" in obs.identifies[0]


def test_an_obs_without_password_takes_us_too(caller: Caller) -> None:
    """Catches a password demanded where OBS asks for none."""
    with FakeObs() as obs:
        assert caller.connect(obs.address).version.obs == "29.0.2"


def test_the_low_volume_events_are_subscribed_and_no_others(obs: FakeObs, caller: Caller) -> None:
    """Catches a missing group, or sound levels fifty times a second; the bits are the protocol's:
    General, Config, Scenes, Inputs, Transitions, Filters, Outputs, SceneItems, Vendors, Ui."""
    caller.connect(obs.address)
    bits = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10)
    assert obs.identifies[0]["eventSubscriptions"] == sum(1 << bit for bit in bits)


def test_a_request_and_its_answer_make_the_round_trip(obs: FakeObs, caller: Caller) -> None:
    """Catches data lost on either way, and an answer without data taken for a failure."""
    obs.answers["GetSceneItemId"] = lambda data: {"sceneItemId": len(data["sourceName"])}
    obs.answers["SetCurrentProgramScene"] = {}
    link = caller.connect(obs.address)
    assert link.request("GetSceneItemId", {"sourceName": "Marker"}) == {"sceneItemId": 6}
    assert link.request("SetCurrentProgramScene", {"sceneName": "B"}) == {}
    assert obs.requests[-1] == Request("SetCurrentProgramScene", {"sceneName": "B"})


def test_a_long_text_goes_both_ways_whole(obs: FakeObs, caller: Caller) -> None:
    """Catches a picture or a pasted text that is cut at a buffer's size."""
    obs.answers["Echo"] = lambda data: data
    text = "night " * 200_000
    assert caller.connect(obs.address).request("Echo", {"text": text}) == {"text": text}


def test_a_refused_request_tells_why_and_the_link_lives_on(obs: FakeObs, caller: Caller) -> None:
    """Catches a code dropped on the way, and a connection given up for a missing source."""
    obs.answers["SetInputMute"] = Refusal(600, "No source was found.")
    link = caller.connect(obs.address)
    with pytest.raises(ObsRequestRefused, match=r"SetInputMute.*600.*No source") as caught:
        link.request("SetInputMute", {"inputName": "Mic"})
    assert (caught.value.code, caught.value.comment) == (600, "No source was found.")
    assert "obsVersion" in link.request("GetVersion")


def test_events_come_in_order_in_the_words_of_the_protocol(obs: FakeObs, caller: Caller) -> None:
    """Catches names and keys rewritten in snake case, an event lost, and an event as an answer."""
    link = caller.connect(obs.address)
    obs.emit("SceneTransitionStarted", transitionName="Fade")
    obs.emit("ExitStarted")
    link.request("GetVersion")
    assert caller.events.get_nowait() == ("SceneTransitionStarted", {"transitionName": "Fade"})
    assert caller.events.get_nowait() == ("ExitStarted", {})


def test_each_message_is_acknowledged_at_once(obs: FakeObs, caller: Caller) -> None:
    """Catches 42 ms between two events that lie close together (measured with OBS 29), which OBS's
    own system waits for our system's acknowledgement."""
    caller.connect(obs.address)
    obs.wait_pongs(2)  # Identified, and the answer to GetVersion
    obs.emit("SceneTransitionStarted")
    obs.emit("SceneTransitionEnded")
    obs.wait_pongs(4)


def test_after_a_late_answer_the_link_is_dead_for_good(obs: FakeObs, caller: Caller) -> None:
    """Catches answers off by one: the late answer to one request taken for that to the next."""
    obs.answers["GetStats"] = {"cpuUsage": 1.0}
    link = caller.connect(obs.address, SHORT_S)
    obs.fault = Fault.LATE
    with pytest.raises(ObsLost, match=r"no answer to GetStats within 0\.2 s"):
        link.request("GetStats")
    obs.release()
    with pytest.raises(ObsLost, match="no answer to GetStats"):
        link.request("GetVersion")
    assert len(obs.requests) == 2  # GetVersion of the start, and GetStats


def test_an_answer_to_another_request_is_never_taken(obs: FakeObs, caller: Caller) -> None:
    """Catches request ids that are not compared."""
    link = caller.connect(obs.address)
    answer = {"requestType": "GetStats", "requestId": "7", "requestStatus": {"result": True}}
    obs.send_text(json.dumps({"op": 7, "d": answer}))
    with pytest.raises(ObsLost, match="belongs to another request"):
        link.request("GetVersion")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.MALFORMED, "could not be taken"),
        (Fault.CUT, "lost"),
        (Fault.SILENT, "no answer to GetVersion"),
    ],
)
def test_a_fault_in_an_answer_ends_the_link_with_its_reason(
    obs: FakeObs, caller: Caller, fault: Fault, words: str
) -> None:
    """Catches a request that waits for ever, and an error of the library in place of ours."""
    link = caller.connect(obs.address, SHORT_S if fault is Fault.SILENT else PATIENCE_S)
    obs.fault = fault
    with pytest.raises(ObsLost, match=words):
        link.request("GetVersion")
    assert caller.ends.get(timeout=PATIENCE_S)


@pytest.mark.parametrize(
    "text", ["{not json", "null", "[]", "{}", '{"op": 5, "d": {}}', '{"op": 5, "d": {"a": [}}']
)
def test_a_strange_message_is_told_and_kills_nothing_in_silence(
    obs: FakeObs, caller: Caller, text: str
) -> None:
    """Catches a reader thread that dies with a traceback while the link looks healthy."""
    link = caller.connect(obs.address)
    obs.send_text(text)
    assert "could not be taken" in caller.ends.get(timeout=PATIENCE_S)
    with pytest.raises(ObsLost, match="could not be taken"):
        link.request("GetVersion")


def test_a_message_of_a_later_protocol_is_passed_over(obs: FakeObs, caller: Caller) -> None:
    """Catches a link that breaks at a kind of message it need not know."""
    link = caller.connect(obs.address)
    obs.send_text('{"op": 9, "d": {"results": []}}')
    assert "obsVersion" in link.request("GetVersion")


def test_a_callback_that_raises_ends_the_link_and_is_told(obs: FakeObs, caller: Caller) -> None:
    """Catches events that stop for good because of one exception, with nobody knowing."""

    def on_event(name: str, data: dict[str, Any]) -> None:
        raise RuntimeError("a defect of ours")

    link = connect(obs.address, on_event, caller.ends.put, timeout_s=PATIENCE_S)
    obs.emit("ExitStarted")
    assert "a defect of ours" in caller.ends.get(timeout=PATIENCE_S)
    link.close()


def test_a_goodbye_of_obs_is_noticed_at_once_with_its_code(obs: FakeObs, caller: Caller) -> None:
    """Catches a server's close that only the next request would find."""
    link = caller.connect(obs.address)
    obs.close_clients(4011, "Kicked.")
    assert caller.ends.get(timeout=PATIENCE_S) == "OBS closed it, code 4011, Kicked."
    assert link.close_code == 4011


def test_a_killed_obs_is_noticed_at_once(obs: FakeObs, caller: Caller) -> None:
    """Catches a connection cut without a word that only the next request would find."""
    caller.connect(obs.address)
    obs.stop()
    assert caller.ends.get(timeout=PATIENCE_S)


def test_a_request_in_flight_ends_with_the_connection(obs: FakeObs, caller: Caller) -> None:
    """Catches a request that sits out its time-out though OBS is gone already."""
    link = caller.connect(obs.address, timeout_s=1000.0)
    losses: queue.Queue[ObsLost] = queue.Queue()

    def ask() -> None:
        try:
            link.request("GetStats")
        except ObsLost as error:
            losses.put(error)

    obs.fault = Fault.SILENT
    threading.Thread(target=ask, daemon=True).start()
    obs.wait_request("GetStats")
    obs.drop()
    assert "lost" in str(losses.get(timeout=PATIENCE_S))


@pytest.mark.parametrize("fault", [Fault.NONE, Fault.SILENT])
def test_close_frees_socket_and_thread_and_is_no_loss(
    obs: FakeObs, caller: Caller, fault: Fault
) -> None:
    """Catches a close that waits for a goodbye that never comes, a thread left behind, and our own
    close reported as an accident."""
    link = caller.connect(obs.address)
    obs.fault = fault
    link.close()
    link.close()
    obs.wait_clients(0)
    assert caller.ends.empty()
    assert not [thread for thread in threading.enumerate() if thread.name == "obs-link"]
    with pytest.raises(ObsLost, match="closed here"):
        link.request("GetVersion")
