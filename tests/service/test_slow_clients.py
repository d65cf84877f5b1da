"""Clients that stop, four times as many as there are threads: the others are served as if they were not there.

Silence in the middle of a body costs a thread for the idle timeout; whoever was silent while it waited for one has
spent it by then. No other silence costs a thread at all.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, Template

THREADS = 8
CLIENTS = 4 * THREADS  # as many as a server with so few threads takes, with some to spare
IDLE_TIMEOUT = 4.0
NEVER = 60.0  # an idle timeout that ends after all tests here
# If each silent client kept a thread for an idle timeout of its own, an answer would take four of these to come.
# Three leave a busy machine eight seconds.
PATIENCE = 3 * IDLE_TIMEOUT

Film = Callable[..., bytes]


def _start(template: Template, tmp_path_factory: pytest.TempPathFactory, **settings: str) -> Server:
    home = tmp_path_factory.mktemp("server") / "home"
    server = Server(
        home,
        template.tokens,
        template.copy_to(home),
        {"THREADS": str(THREADS), "MAX_UPLOADS_PER_USER": "100", **settings},
    )
    server.start()
    return server


@pytest.fixture(scope="module")
def impatient(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gives up on silent clients after some seconds."""
    made = _start(template, tmp_path_factory, UPLOAD_IDLE_TIMEOUT=f"{IDLE_TIMEOUT}s")
    yield made
    made.end()


@pytest.fixture(scope="module")
def patient(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for silent clients for longer than any test here lasts."""
    made = _start(template, tmp_path_factory, UPLOAD_IDLE_TIMEOUT=f"{NEVER}s", MAX_FILE_SIZE="32MiB")
    yield made
    made.end()


@contextlib.contextmanager
def crowd(server: Server, words: bytes, clients: int = CLIENTS) -> Iterator[list[socket.socket]]:
    """As many clients who say this, and then neither speak, nor read, nor leave."""
    with contextlib.ExitStack() as stack:
        wires = []
        for _ in range(clients):
            wire = stack.enter_context(socket.socket())
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.settimeout(NEVER)
            wire.connect(("127.0.0.1", server.port))
            with contextlib.suppress(ConnectionError):  # it may be refused, and gone, before it said everything
                wire.sendall(words)
            wires.append(wire)
        yield wires


def head(server: Server, request: str, *lines: str, user: str | None = "alice") -> bytes:
    """The lines of a request, without the empty one that ends them."""
    known = [f"Authorization: Bearer {server.tokens[user]}"] if user else []
    return "\r\n".join([f"{request} HTTP/1.1", "Host: 127.0.0.1", *known, *lines, ""]).encode()


def ping(server: Server, timeout: float) -> float:
    """How long an answer took."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as wire:
        wire.sendall(head(server, "GET /healthz", "Connection: close", user=None) + b"\r\n")
        assert wire.recv(100).startswith(b"HTTP/1.1 200")
    return time.monotonic() - began


def assert_pings_are_quick(server: Server) -> None:
    took = sorted(ping(server, NEVER) for _ in range(40))
    print(f"ping: p95 {took[37] * 1000:.1f} ms, worst {took[-1] * 1000:.1f} ms")  # noqa: T201
    assert took[-1] <= PATIENCE, took


def assert_pings_are_quick_after_the_idle_timeout(server: Server, since: float) -> None:
    ping(server, NEVER)
    waited = time.monotonic() - since
    print(f"first answer after {waited:.2f} s")  # noqa: T201
    assert waited <= PATIENCE
    assert_pings_are_quick(server)


# Clients that wait until the idle timeout


def stalled_body(server: Server) -> bytes:
    return head(server, "PUT /api/v1/upload/film.webm", "Content-Length: 3000000") + b"\r\n\x1aE\xdf\xa3" + bytes(900)


def stalled_chunk(server: Server) -> bytes:
    return head(server, "PUT /api/v1/upload/film.webm", "Transfer-Encoding: chunked") + b"\r\n4000\r\n\x1aE\xdf\xa3"


def stalled_form(server: Server) -> bytes:
    lines = "Content-Type: multipart/form-data; boundary=b", "Content-Length: 3000000"
    return head(server, "POST /api/v1/files/", *lines) + b"\r\n--b\r\nContent-Disp"


def waiting_to_be_asked(server: Server) -> bytes:
    return head(server, "PUT /api/v1/upload/f.mp4", "Content-Length: 9999", "Expect: 100-continue") + b"\r\n"


HALF_A_BODY: dict[str, Callable[[Server], bytes]] = {
    "a body without its end": stalled_body,
    "a chunk without its end": stalled_chunk,
    "a form without its end": stalled_form,
    "a body without its beginning": lambda server: (
        head(server, "PUT /api/v1/upload/f.mp4", "Content-Length: 9999") + b"\r\n"
    ),
    "a body that was asked for": waiting_to_be_asked,
}

HALF_A_HEAD: dict[str, Callable[[Server], bytes]] = {
    "one letter": lambda server: b"G",
    "half a request line": lambda server: b"GET /healthz HT",
    "half a header": lambda server: head(server, "GET /healthz")[:-5],
    "headers without their end": lambda server: head(server, "GET /healthz"),
    "half a second request": lambda server: head(server, "GET /healthz") + b"\r\nGET /hea",
    "nothing": lambda server: b"",
}

# Of requests whose body is read into memory, and of strangers who may send none.
MADE_UP = "Cookie: csrftoken=abcdefghijklmnopqrstuvwxyz012345"  # without it, nobody asks for a form's fields
HALF_A_SMALL_BODY: dict[str, Callable[[Server], bytes]] = {
    "half a login": lambda server: half_a_form(server, "POST /admin/login/"),
    "half a form for no page": lambda server: half_a_form(server, "POST /healthz"),
    "half a stranger's upload": lambda server: half_a_form(server, "POST /api/v1/files/"),
    "half a stranger's job": lambda server: half_a_form(server, "POST /api/v1/jobs/"),
    "half a job": lambda server: (
        head(server, "POST /api/v1/jobs/", "Content-Length: 900", "Content-Type: application/json") + b'\r\n{"op'
    ),
    "a login that was asked for": lambda server: half_a_form(server, "POST /admin/login/", "Expect: 100-continue"),
}


def half_a_form(server: Server, request: str, *lines: str) -> bytes:
    lines = "Content-Type: multipart/form-data; boundary=b", "Content-Length: 300000", MADE_UP, *lines
    return head(server, request, *lines, user=None) + b"\r\n--b\r\nContent-Disp"


@pytest.mark.parametrize("said", HALF_A_BODY)
def test_clients_who_stop_speaking_delay_nobody_once_the_idle_timeout_has_passed(
    impatient: Server, said: str
) -> None:
    began = time.monotonic()
    with crowd(impatient, HALF_A_BODY[said](impatient)):
        assert_pings_are_quick_after_the_idle_timeout(impatient, began)


@pytest.mark.parametrize("size", [1000, 40_000])
def test_what_was_sent_while_waiting_for_a_thread_is_no_sign_of_life_on_it(impatient: Server, size: int) -> None:
    began = time.monotonic()
    begin, body = stalled_body(impatient)[:-904], b"\x1aE\xdf\xa3" + bytes(size)
    with crowd(impatient, begin) as wires:
        time.sleep(0.2)  # each hands its body in behind a head that is being waited for
        for wire in wires:
            wire.sendall(body)
        assert_pings_are_quick_after_the_idle_timeout(impatient, began)


@pytest.mark.parametrize("said", [*HALF_A_HEAD, *HALF_A_SMALL_BODY])
def test_clients_who_have_not_said_what_they_want_delay_nobody_at_all(patient: Server, said: str) -> None:
    with crowd(patient, (HALF_A_HEAD | HALF_A_SMALL_BODY)[said](patient)):
        assert_pings_are_quick(patient)


def test_a_head_without_an_end_is_refused(patient: Server) -> None:
    with crowd(patient, b"GET /healthz HTTP/1.1\r\n" + b"Cookie: abcdefghij\r\n" * 4000) as wires:
        assert_pings_are_quick(patient)
        answers = [wire.recv(100) for wire in wires]
    assert all(answer.startswith(b"HTTP/1.1 431 ") for answer in answers), answers


def test_a_head_has_the_idle_timeout_in_all(impatient: Server) -> None:
    began = time.monotonic()
    with (
        crowd(impatient, b"GET /healthz HTTP/1.1\r\nHost: ", clients=1) as [wire],
        contextlib.suppress(ConnectionError),
    ):
        while time.monotonic() - began < PATIENCE:
            wire.sendall(b"a")
            time.sleep(IDLE_TIMEOUT / 8)
    assert IDLE_TIMEOUT * 0.9 <= time.monotonic() - began < PATIENCE


def keep_large(server: Server, clip: bytes) -> str:
    """The path of 24 MB of content: more than the system takes from a server for a client who reads nothing."""
    answer = server.put("large.mp4", clip + bytes(24_000_000))
    assert answer.status == 201, answer
    return f"/api/v1/files/{answer.json()['id']}/content"


@pytest.fixture(scope="module")
def large(patient: Server, clip: bytes) -> str:
    return keep_large(patient, clip)


MAP = "/static/drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js.map"


@pytest.mark.parametrize("what", ["a download", "a range", "a static file", "a range of a static file"])
def test_clients_who_stop_reading_delay_nobody_at_all(patient: Server, large: str, what: str) -> None:
    asked = {
        "a download": head(patient, f"GET {large}"),
        "a range": head(patient, f"GET {large}", "Range: bytes=100-23000000"),
        "a static file": head(patient, f"GET {MAP}", user=None),
        "a range of a static file": head(patient, f"GET {MAP}", "Range: bytes=9-3900000", user=None),
    }[what]
    with crowd(patient, asked + b"\r\n"):
        ping(patient, PATIENCE)  # behind those who are being answered
        assert_pings_are_quick(patient)


def test_a_client_who_speaks_after_a_silence_is_served(impatient: Server) -> None:
    with crowd(impatient, b"", clients=1) as [wire]:
        time.sleep(IDLE_TIMEOUT / 4)
        wire.sendall(head(impatient, "GET /healthz") + b"\r\n")
        assert wire.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("said", ["one letter", "headers without their end", "nothing"])
def test_a_client_who_stopped_is_hung_up_on_after_the_idle_timeout(impatient: Server, said: str) -> None:
    with crowd(impatient, HALF_A_HEAD[said](impatient), clients=1) as [wire]:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert wire.recv(100) == b""
        assert IDLE_TIMEOUT * 0.9 <= time.monotonic() - began < PATIENCE


def test_clients_who_stop_or_leave_are_no_errors_in_the_log(impatient: Server, clip: bytes) -> None:
    reading = head(impatient, f"GET {keep_large(impatient, clip)}") + b"\r\n"
    with contextlib.ExitStack() as stack:
        for words in (reading, b"GET", stalled_body(impatient), stalled_chunk(impatient)):
            leaves, _ = stack.enter_context(crowd(impatient, words, clients=2))
            time.sleep(0.3)
            leaves.close()
        time.sleep(IDLE_TIMEOUT + 0.5)
    assert "Traceback" not in impatient.log
    assert "ERROR" not in impatient.log


# Clients that are refused, and stay


def refused_large(server: Server) -> bytes:
    return head(server, "PUT /api/v1/upload/film.mp4", "Content-Length: 99000000") + b"\r\n"


def refused_form(server: Server) -> bytes:
    lines = "Content-Type: multipart/form-data; boundary=b", "Content-Length: 99000000"
    return head(server, "POST /api/v1/files/", *lines) + b"\r\n"


def unknown(server: Server) -> bytes:
    return head(server, "PUT /api/v1/upload/film.mp4", "Content-Length: 99000000", user=None) + b"\r\n"


def unknown_form(server: Server) -> bytes:
    lines = "Content-Type: multipart/form-data; boundary=b", "Content-Length: 99000000"
    return head(server, "POST /api/v1/files/", *lines, user=None) + b"\r\n"


def no_media(server: Server) -> bytes:
    return head(server, "PUT /api/v1/upload/film.mp4", "Content-Length: 900000") + b"\r\n" + bytes(100_000)


REFUSED: dict[str, Callable[[Server], bytes]] = {
    "too large": refused_large,
    "too large, and some of it sent": lambda server: refused_large(server) + bytes(100_000),
    "too large a form": refused_form,
    "no media": no_media,
    "unknown": unknown,
    "unknown, and some of it sent": lambda server: unknown(server) + bytes(100_000),
    "unknown with a form": unknown_form,
}


@pytest.mark.parametrize("why", REFUSED)
def test_clients_who_were_refused_and_stay_delay_nobody_at_all(patient: Server, why: str) -> None:
    with crowd(patient, REFUSED[why](patient)):
        ping(patient, PATIENCE)  # behind those who are being answered
        assert_pings_are_quick(patient)


def test_clients_who_were_refused_hold_no_thread(patient: Server) -> None:
    # One thread is left to share, for the refused and the pings.
    uploading = head(patient, "PUT /api/v1/upload/film.webm", "Content-Length: 300000") + b"\r\n\x1aE\xdf\xa3"
    with crowd(patient, uploading, clients=THREADS - 1):
        for why in ("too large", "unknown"):
            with crowd(patient, REFUSED[why](patient)):
                ping(patient, PATIENCE)  # behind those who are being answered
                assert_pings_are_quick(patient)


# The server's own part


def test_a_busy_disk_keeps_the_servers_thread_for_connections_from_nothing(patient: Server) -> None:
    """It shows that it lives by touching a file, before each look at its connections."""
    files = Path(f"/proc/{patient.pid}/fd").iterdir()
    [sign] = [target for link in files if "wgunicorn" in (target := str(link.readlink()))]
    assert sign.startswith("/dev/shm/") or not os.access("/dev/shm", os.W_OK)  # noqa: S108
