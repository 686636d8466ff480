"""The routes and their guard, asked as a browser or a program would."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from control_fakes import STATUS, FakeController
from fastapi.testclient import TestClient
from no_recorder import no_choice, no_recorder

from liveedit_cam.control.app import Commands, create_app
from liveedit_cam.control.guard import MAX_BODY_BYTES
from liveedit_cam.control.state import picture_key
from liveedit_cam.control.wire import status_from_json
from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.controller import Controller
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.mailbox import FrameInbox, Latest
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.run import Run
from liveedit_cam.types import EditInstruction, Mode, Region, Status

TOKEN = "the-token"
OURS = "http://127.0.0.1:8642"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def client_of(controller: Commands, on_stop: Callable[[], None] = lambda: None) -> TestClient:
    app = create_app(controller, TOKEN, on_stop)
    return TestClient(app, base_url=OURS, headers=BEARER, raise_server_exceptions=False)


def real_controller() -> Controller:
    def now() -> float:
        return 0.0

    return Controller(
        EditLedger(now),
        Run(Board(Status()), Metrics(), now),
        FrameInbox(8),
        Latest(),
        recorder=no_recorder(Board(Status())),
        choose=no_choice,
    )


@pytest.fixture
def controller() -> FakeController:
    return FakeController()


@pytest.fixture
def client(controller: FakeController) -> TestClient:
    return client_of(controller)


def test_an_instruction_reaches_the_controller_whole(
    client: TestClient, controller: FakeController
) -> None:
    """Catches a field that is dropped, renamed or given a default on its way."""
    body = {
        "prompt": "make it night",
        "strength": 0.5,
        "region": {"x": 0.5, "y": 0, "width": 0.5, "height": 1},
        "seed": 11,
    }
    answer = client.post("/api/instruction", json=body)
    assert (answer.status_code, answer.json()) == (202, {"revision": 7, "prompt": "make it night"})
    expected = EditInstruction("make it night", 0.5, Region(0.5, 0, 0.5, 1), 11, "cli", revision=7)
    assert controller.instructions == [expected]


def test_the_web_page_is_told_apart_from_a_program(
    client: TestClient, controller: FakeController
) -> None:
    """Catches an origin in the status that names the wrong sender."""
    answer = client.post("/api/instruction", json={"prompt": "x"}, headers={"Origin": OURS})
    assert answer.status_code == 202
    assert controller.instructions[0].origin == "web"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "a" * 10_000}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["make it night"]}, "prompt"),
        ({"prompt": "make it\x00night"}, "prompt"),
        ({"prompt": "🌙"}, "prompt"),
        ({"prompt": "\x1b[31mred"}, "prompt"),
        ({"prompt": "x", "strength": 1.5}, "strength"),
        ({"prompt": "x", "strength": "much"}, "strength"),
        ({"prompt": "x", "seed": -1}, "seed"),
        ({"prompt": "x", "seed": 2**32}, "seed"),
        ({"prompt": "x", "region": {"x": 0, "y": 0, "width": 1}}, "region.height"),
        ({"prompt": "x", "region": {"x": 0, "y": 0, "width": 0, "height": 1}}, "region.width"),
        ({"prompt": "x", "region": {"x": 0.7, "y": 0, "width": 0.7, "height": 1}}, "region"),
        ({"prompt": "x", "colour": "red"}, "colour"),
        (["make it night"], "body"),
    ],
)
def test_a_bad_instruction_is_refused_with_field_and_reason(body: object, field: str) -> None:
    """Catches input that reaches the engine unchecked, and a refusal that does not say why."""
    controller = real_controller()
    answer = client_of(controller).post("/api/instruction", json=body)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert len(answer.json()["reason"]) > 10
    assert controller.status().pending is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b'{"prompt": "\\ud800"}', b'{"prompt": "x", "strength": NaN}']
)
def test_a_body_that_is_no_instruction_is_refused(body: bytes) -> None:
    """Catches a crash of the parser (500) where the sender made the mistake (422)."""
    answer = client_of(real_controller()).post(
        "/api/instruction", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["reason"]


@pytest.mark.parametrize("prompt", ["mach es blau, bitte", "夜にして", "<b>&amp;"])
def test_any_printable_text_is_accepted_as_it_is(prompt: str) -> None:
    """Catches text that is refused or changed because it is not plain English."""
    controller = real_controller()
    answer = client_of(controller).post("/api/instruction", json={"prompt": prompt})
    assert answer.status_code == 202
    assert controller.status().pending == prompt


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "", "Cookie": f"liveedit_cam_token={TOKEN}"}, 401),
        ({"Authorization": f"Bearer {picture_key(TOKEN)}"}, 401),
        ({"Authorization": "Bearer tökén".encode()}, 401),
        ({"Host": "localhost:8642"}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:8642"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8642"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "127.0.0.1@evil.example"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": OURS}, 200),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "https://127.0.0.1:8642"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_who_may_ask(client: TestClient, headers: dict[str, str | bytes], code: int) -> None:
    """Catches DNS rebinding, pages of other sites or ports, and a missing or wrong token."""
    answer = client.get("/api/status", headers=headers)
    assert answer.status_code == code
    if code != 200:
        assert set(answer.json()) == {"error", "hint"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/instruction"),
        ("POST", "/api/mode"),
        ("GET", "/api/status"),
        ("GET", "/api/wait?revision=7"),
        ("POST", "/api/stop"),
        ("GET", "/api/openapi.json"),
        ("GET", "/source.jpg"),
        ("GET", "/edited.jpg"),
        ("GET", "/source.mjpeg"),
        ("GET", "/edited.mjpeg"),
        ("GET", "/nothing"),
    ],
)
def test_no_route_is_open(client: TestClient, method: str, path: str) -> None:
    """Catches a new route that forgets the token: the guard stands before all of them."""
    assert client.request(method, path, headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize("path", ["/api/status", "/edited.jpg", "/edited.mjpeg"])
@pytest.mark.parametrize("name", ["token", "key"])
def test_no_secret_is_taken_from_an_address(client: TestClient, path: str, name: str) -> None:
    """Catches secrets in the addresses of requests, where they end up in logs and histories."""
    for secret in (TOKEN, picture_key(TOKEN)):
        answer = client.get(f"{path}?{name}={secret}", headers={"Authorization": ""})
        assert answer.status_code == 401


def test_the_page_is_open_and_holds_no_secret(client: TestClient) -> None:
    """Issue 15: a cookie goes to every port of this computer, also to that of another user."""
    page = client.get("/", headers={"Authorization": ""})
    assert page.status_code == 200
    for secret in (TOKEN, picture_key(TOKEN)):
        assert secret not in page.text
        assert secret not in str(page.headers)
    assert all("set-cookie" not in client.get(path).headers for path in ("/", "/api/status"))


def test_the_interface_is_described_to_whoever_has_the_token(client: TestClient) -> None:
    """Catches a route that is served and not described."""
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/instruction", "/api/wait", "/{side}.jpg"} <= set(paths)


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    """Catches a page that needs the internet or tells a third party that a camera runs."""
    page = client.get("/").text
    parts = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert parts
    assert all(part.startswith("/page/") for part in parts)
    for name in ("main.js", "link.js", "stage.js", "box.js", "looks.js", "plots.js", "page.css"):
        assert re.findall(r"https?://|@import|url\(", client.get(f"/page/{name}").text) == []


def test_the_policy_allows_the_pages_own_parts_and_socket_only(client: TestClient) -> None:
    """Catches a policy that lets text of an instruction become a script, or a foreign socket."""
    policy = client.get("/").headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "connect-src 'self' ws://127.0.0.1:8642;" in policy
    assert "unsafe" not in policy
    page = client.get("/").text
    assert re.findall(r"<style|<script>| style=| on\w+=", page) == []


def test_every_answer_carries_the_safe_headers(client: TestClient) -> None:
    """Catches answers, refusals among them, that a browser may guess about, keep or frame."""
    for path, token in (("/", TOKEN), ("/api/status", TOKEN), ("/nothing", TOKEN), ("/", "wrong")):
        headers = client.get(path, headers={"Authorization": f"Bearer {token}"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_too_large_is_refused(
    client: TestClient, controller: FakeController, is_chunked: bool
) -> None:
    """Catches a limit that trusts Content-Length: a chunked body has none."""
    body = b'{"prompt": "' + b"a" * MAX_BODY_BYTES + b'"}'

    def parts() -> Iterator[bytes]:
        yield from (body[at : at + 4096] for at in range(0, len(body), 4096))

    answer = client.post("/api/instruction", content=parts() if is_chunked else body)
    assert answer.status_code == 413
    assert "65536" in answer.json()["error"]
    assert controller.instructions == []


def test_the_status_survives_the_journey(client: TestClient) -> None:
    """Catches a status field that JSON turns into another type."""
    assert status_from_json(client.get("/api/status").json()) == STATUS


def test_the_mode_is_set_and_answered(client: TestClient, controller: FakeController) -> None:
    """Catches a mode that is answered but not set, and an unknown one that passes."""
    assert client.post("/api/mode", json={"mode": "slate"}).json() == {
        "mode": "slate",
        "revision": 3,
        "visible_after_s": None,  # nothing is shown yet
    }
    assert controller.found.mode is Mode.SLATE
    controller.found = replace(controller.found, sink_fps=25.0, pending_revision=4)
    again = client.post("/api/mode", json={"mode": "slate"}).json()
    assert (again["revision"], again["visible_after_s"]) == (4, 0.08)
    assert client.post("/api/mode", json={"mode": "black"}).status_code == 422
    assert controller.found.mode is Mode.SLATE


@pytest.mark.parametrize(
    ("query", "code", "key"),
    [
        ("revision=7", 200, "visible_s"),
        ("revision=7&until=encoded", 200, "notice"),
        ("revision=8&timeout_s=0", 200, "visible_s"),
        ("revision=10&until=encoded&timeout_s=25", 200, "notice"),
        ("revision=9", 200, "refused"),
        ("revision=99", 409, "error"),
        ("revision=7&until=later", 422, "reason"),
        ("", 422, "reason"),
        ("revision=0", 422, "reason"),
        ("revision=x", 422, "reason"),
        ("revision=7&timeout_s=-1", 422, "reason"),
        ("revision=7&timeout_s=nan", 422, "reason"),
        ("revision=7&timeout_s=26", 422, "reason"),
    ],
)
def test_waiting_tells_what_is_known(client: TestClient, query: str, code: int, key: str) -> None:
    """Catches a wait that cannot end, and an error that looks like a result."""
    answer = client.get(f"/api/wait?{query}")
    assert answer.status_code == code
    assert key in answer.json()


def test_one_answer_tells_all_of_an_instruction(
    client: TestClient, controller: FakeController
) -> None:
    """Catches a client that has to ask for the status again and again."""
    controller.found = replace(STATUS, changed=0.3)
    assert client.get("/api/wait?revision=7").json() == {
        "revision": 7,
        "encoded_s": 0.1,
        "visible_s": 0.42,
        "refused": None,
        "notice": 'the model does not know "galaxy"',
        "changed": 0.3,
    }
    refused = client.get("/api/wait?revision=9").json()
    assert refused["refused"] == "The model refused instruction 9."
    assert "field" not in refused


def test_stop_is_passed_on() -> None:
    """Catches a stop that is only answered."""
    stops: list[str] = []
    client = client_of(FakeController(), lambda: stops.append("stop"))
    assert client.post("/api/stop").status_code == 202
    assert stops == ["stop"]


def test_a_refusal_of_the_controller_keeps_its_words(client: TestClient) -> None:
    """Catches a reason that is lost between Controller and user."""
    answer = client.post("/api/instruction", json={"prompt": "refuse me"})
    assert answer.status_code == 422
    assert answer.json() == {"field": "prompt", "reason": "Got a prompt to refuse. Write another."}


def test_a_defect_is_answered_as_json(client: TestClient) -> None:
    """Catches an answer that the client cannot read just when something is wrong."""
    answer = client.post("/api/instruction", json={"prompt": "break"})
    assert answer.status_code == 500
    assert "a defect in the daemon" in answer.json()["error"]


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/x", 404), ("PUT", "/", 405)])
def test_an_unknown_route_is_answered_as_json(
    client: TestClient, method: str, path: str, code: int
) -> None:
    """Catches an HTML error page where programs read JSON."""
    answer = client.request(method, path)
    assert answer.status_code == code
    assert path in answer.json()["error"]


@pytest.mark.parametrize("latency", ["exact", "live"])
def test_the_latency_is_switched(controller: FakeController, latency: str) -> None:
    """Catches a switch on the page that changes nothing."""
    answer = client_of(controller).post("/api/latency", json={"latency": latency})
    assert (answer.json()["latency"], answer.json()["revision"]) == (latency, 3)
    assert controller.status().latency == latency


def test_another_latency_is_refused_with_its_field(controller: FakeController) -> None:
    """Catches a daemon that takes any word."""
    answer = client_of(controller).post("/api/latency", json={"latency": "never"})
    assert (answer.status_code, answer.json()["field"]) == (422, "latency")
