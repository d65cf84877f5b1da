"""The client of model servers, over real sockets: servers that are slow, down, hostile, or lie."""

import json
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from media_jobs.errors import (
    Cancelled,
    EndpointBadAnswer,
    EndpointDown,
    EndpointRefused,
    EndpointUntrusted,
    Failure,
)
from media_jobs.prediction.addresses import ForbiddenAddress, require_allowed, system_resolver
from media_jobs.prediction.client import MAX_ANSWER, Server, Watch, ask
from media_jobs.prediction.endpoint_url import EndpointUrl
from media_jobs.prediction.retry_after import seconds_of
from media_jobs.prediction.sent_content import Body
from tests.support.free_ports import free_port
from tests.support.model_servers import (
    Handle,
    answering,
    in_turn,
    ok,
    pour,
    read_request,
    reset,
    sending,
    serving,
    status,
    trickle,
)

SECRET = "Bearer tiger-lily"
BODY = Body("audio/wav", [b"RIFF"])
NEVER = threading.Event()


def a_server(url: str, timeout: float = 30.0, **more: bool) -> Server:
    allowed = {"allows_private": True} | more
    return Server("birds", EndpointUrl.parse(url), timeout, ("Authorization", SECRET), **allowed)


def watch(check: Callable[[], None] = lambda: None) -> Watch:
    return Watch(check, lambda sent: None, lambda seconds: None)


def failure_of(handle: Handle, body: Body = BODY, timeout: float = 30.0) -> Failure:
    with serving(handle) as served, pytest.raises(Failure) as caught:
        ask(a_server(served.url, timeout), body, watch())
    assert SECRET not in str(caught.value)
    assert "127.0.0.1" not in caught.value.detail
    return caught.value


def a_large_body(folder: Path, megabytes: int = 64) -> Body:
    path = folder / "large"
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    return Body("video/mp4", [b"head", path, b"tail"])


def test_the_content_arrives_whole_with_its_length_and_the_secret(tmp_path: Path) -> None:
    path, seen = tmp_path / "piece", list[tuple[str, bytes]]()
    path.write_bytes(b"in a file")

    def handle(sock: socket.socket) -> None:
        seen.append(read_request(sock))
        sock.sendall(ok(b'{"birds": 2}'))

    with serving(handle) as served:
        assert (
            ask(a_server(served.url), Body("video/mp4", [b"before, ", path, b", after"]), watch()) == b'{"birds": 2}'
        )
    [(head, body)] = seen
    assert body == b"before, in a file, after"
    assert head.startswith("POST /predict HTTP/1.1\r\n")
    lines = set(head.split("\r\n"))
    assert {f"Authorization: {SECRET}", "Content-Length: 24", "Content-Type: video/mp4"} <= lines
    assert f"Host: 127.0.0.1:{served.port}" in lines


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with serving(answering(ok(b"[]"))) as served:
        assert ask(a_server(served.url), BODY, watch()) == b"[]"


@pytest.mark.parametrize(
    "answer",
    [
        b'{"a": 1.0000000000000000001, "b": 12345678901234567890123, "a": 2}',
        '["\\ud83d", "ä"]'.encode(),
        b"null",
        json.dumps(["9" * 5000]).encode(),
        b"9" * 5000,
    ],
)
def test_the_answer_is_kept_byte_for_byte(answer: bytes) -> None:
    with serving(answering(ok(answer))) as served:
        assert ask(a_server(served.url), BODY, watch()) == answer


def test_a_chunked_answer_is_read(tmp_path: Path) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n"
    with serving(answering(chunked)) as served:
        assert ask(a_server(served.url), BODY, watch()) == b"[1,2]"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"[NaN]", "not JSON"),
        (b"[-Infinity]", "not JSON"),
        (b'"\xff"', "not UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'"' + b"a" * MAX_ANSWER + b'"', "more than the 1 MB"),
    ],
)
def test_what_is_no_json_or_too_much_is_a_bad_answer(answer: bytes, words: str) -> None:
    found = failure_of(answering(ok(answer)))
    assert isinstance(found, EndpointBadAnswer)
    assert words in found.detail


@pytest.mark.parametrize("head", ["Content-Length: 10000000000", "X-Length: unknown", "Transfer-Encoding: chunked"])
def test_an_answer_of_10_gb_is_not_read(head: str) -> None:
    piece = (b"10000\r\n" + b"1" * 65536 + b"\r\n") if "chunked" in head else b"1" * 65536

    def handle(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        pour(sock, piece, 10_000_000_000)

    tracemalloc.start()
    try:
        found = failure_of(handle)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert (found.code, "more than the 1 MB" in found.detail) == ("endpoint_bad_answer", True)


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"[1, 2]", length=1000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n[1,",
    ],
)
def test_an_answer_that_is_shorter_than_announced_may_be_complete_another_time(answer: bytes) -> None:
    found = failure_of(answering(answer))
    assert isinstance(found, EndpointDown)
    assert "before its answer was complete" in found.detail


def test_of_an_answer_that_is_longer_than_announced_what_was_announced_counts() -> None:
    with serving(answering(ok(b"[1, 2], and more", length=6))) as served:
        assert ask(a_server(served.url), BODY, watch()) == b"[1, 2]"


def test_no_redirect_is_followed_not_even_to_this_machine() -> None:
    with serving(answering(ok(b"[]"))) as other:
        for line in ("301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"):
            found = failure_of(answering(status(line, f"Location: {other.url}")))
            assert (found.code, "follows no redirects" in found.detail) == ("endpoint_bad_answer", True)
        assert other.connections == 0


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("400 Bad Request", EndpointRefused, "refused the request with the status 400"),
        ("401 Unauthorized", EndpointRefused, "401"),
        ("413 Too Large", EndpointRefused, "413"),
        ("500 Oops", EndpointDown, "answers with the error 500"),
        ("503 Later", EndpointDown, "503"),
        ("429 Slow down", EndpointDown, "has too many requests"),
        ("101 Switching", EndpointBadAnswer, "101"),
    ],
)
def test_each_status_has_a_clear_end(line: str, kind: type[Failure], words: str) -> None:
    found = failure_of(answering(status(line)))
    assert isinstance(found, kind)
    assert words in found.detail


@pytest.mark.parametrize(("header", "seconds"), [("40", 40), ("999999", 3600), ("soon", None), ("-1", None)])
def test_a_server_says_for_how_long_it_wants_to_be_left_alone(header: str, seconds: int | None) -> None:
    found = failure_of(answering(status("429 Slow down", f"Retry-After: {header}")))
    assert isinstance(found, EndpointDown)
    assert found.wait == (None if seconds is None else timedelta(seconds=seconds))


def test_retry_after_may_be_a_date() -> None:
    date = (datetime.now(UTC) + timedelta(minutes=2)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert seconds_of(date) == pytest.approx(120, abs=60)
    assert seconds_of("Mon, 01 Jan 2001 00:00:00 GMT") == 0
    assert seconds_of("Mon, 99 Jan 2001") is None


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (reset, "closed the connection"),
        (in_turn(read_request, reset), "closed the connection without an answer"),
        (in_turn(read_request, sending(b"HTTP/1.1 2"), reset), "closed the connection"),
        (in_turn(read_request, sending(ok(b"[1", length=9)), reset), "closed the connection"),
        (read_request, "closed the connection without an answer"),
    ],
)
def test_a_connection_that_is_reset_may_hold_another_time(handle: Handle, words: str) -> None:
    found = failure_of(handle)
    assert isinstance(found, EndpointDown)
    assert words in found.detail


def test_a_reset_half_way_through_the_content(tmp_path: Path) -> None:
    found = failure_of(in_turn(lambda sock: sock.recv(100_000), reset), a_large_body(tmp_path))
    assert isinstance(found, EndpointDown)
    assert "closed the connection" in found.detail


def refusing_early(answer: bytes) -> Handle:
    """Answers after the head of the request, and takes no more."""

    def handle(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        NEVER.wait(1.0)

    return handle


def test_a_server_that_answers_before_it_has_the_content_is_heard(tmp_path: Path) -> None:
    found = failure_of(refusing_early(status("413 Too Large")), a_large_body(tmp_path, 8))
    assert found.code in {"endpoint_refused", "endpoint_down"}  # the system may throw the answer away with the RST


def test_what_is_not_http_is_a_bad_answer() -> None:
    assert failure_of(answering(b"SSH-2.0-OpenSSH_9\r\n")).code == "endpoint_bad_answer"
    assert failure_of(answering(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n")).code == "endpoint_bad_answer"


def test_a_server_that_is_down() -> None:
    with pytest.raises(EndpointDown, match="does not accept connections"):
        ask(a_server(f"http://127.0.0.1:{free_port()}/"), BODY, watch())
    with pytest.raises(EndpointDown, match="does not accept connections"):
        ask(a_server("http://birds.invalid/"), BODY, watch(), resolver=no_address)


def no_address(host: str, port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "unknown")


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n["])
def test_an_endless_trickle_ends_at_the_deadline(beginning: bytes) -> None:
    def handle(sock: socket.socket) -> None:
        read_request(sock)
        trickle(sock, NEVER, beginning)

    found = failure_of(handle, timeout=1.0)
    assert isinstance(found, EndpointDown)
    assert "did not answer within 1 s" in found.detail


def test_100_continue_without_end_ends_at_the_deadline() -> None:
    def handle(sock: socket.socket) -> None:
        read_request(sock)
        pour(sock, b"HTTP/1.1 100 Continue\r\n\r\n", 10_000_000_000)

    assert failure_of(handle, timeout=1.0).code == "endpoint_down"


def test_content_is_sent_in_constant_memory_and_told_of(tmp_path: Path) -> None:
    told: list[int] = []

    def handle(sock: socket.socket) -> None:
        sock.recv(4096)
        while len(sock.recv(1 << 20)) > 0 and not told:
            pass
        while sock.recv(1 << 20)[-4:] != b"tail":
            pass
        sock.sendall(ok(b"{}"))

    body = a_large_body(tmp_path, 256)
    tracemalloc.start()
    try:
        with serving(handle) as served:
            ask(a_server(served.url), body, Watch(lambda: None, told.append, lambda seconds: None))
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert told == sorted(told)
    assert told[0] > 0


# Cancelling


def cancelled_after(seconds: float) -> Callable[[], None]:
    until = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() >= until:
            raise Cancelled

    return check


def hung_resolver(host: str, port: int) -> list[str]:
    NEVER.wait(5)
    return ["127.0.0.1"]


@contextmanager
def full_listener() -> Iterator[str]:
    """The URL of a server that accepts no connection: those that its system accepts for it are taken."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as taken:
        port = listener.getsockname()[1]
        for _ in range(4):
            sock = taken.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("stage", ["resolve", "connect", "handshake", "send", "wait", "answer", "trickle"])
def test_it_is_stopped_at_each_stage_and_its_connection_is_closed(stage: str, tmp_path: Path) -> None:
    gone = threading.Event()

    def handle(sock: socket.socket) -> None:
        if stage in {"wait", "answer"}:
            read_request(sock)
        if stage == "answer":
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
        if stage == "trickle":  # there is always a byte to read
            read_request(sock)
            with suppress(OSError):
                trickle(sock, NEVER, b"HTTP/1.1 200 OK\r\n\r\n[")
        NEVER.wait(1.0)  # it reads nothing meanwhile
        with suppress(OSError):
            while sock.recv(1 << 20):
                pass
        gone.set()

    body = a_large_body(tmp_path) if stage == "send" else BODY
    with serving(handle) as served, full_listener() as full:
        url = {"connect": full, "handshake": served.url.replace("http:", "https:")}.get(stage, served.url)
        url = "http://birds.invalid/" if stage == "resolve" else url
        resolver = hung_resolver if stage == "resolve" else system_resolver
        began = time.monotonic()
        with pytest.raises(Cancelled):
            ask(a_server(url), body, watch(cancelled_after(0.5)), resolver=resolver)
        assert time.monotonic() - began < 2.0 + 3.0  # what is promised, and what a busy machine adds
        assert stage in {"resolve", "connect"} or gone.wait(20)


def test_who_waits_is_told_for_how_long() -> None:
    waited: list[float] = []

    def handle(sock: socket.socket) -> None:
        read_request(sock)
        NEVER.wait(2.6)
        sock.sendall(ok(b"1"))

    with serving(handle) as served:
        ask(a_server(served.url), BODY, Watch(lambda: None, lambda sent: None, waited.append))
    assert len(waited) >= 2
    assert waited == sorted(waited)


# Addresses


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_public_addresses_are_allowed(address: str) -> None:
    require_allowed(address, allows_private=False)


PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.1.2.3", "192.0.2.1",
    "198.18.0.1", "240.0.0.1", "255.255.255.255", "::1", "fc00::1", "fd12::1", "2001:db8::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::",
    "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip
FORBIDDEN = [
    "169.254.169.254", "169.254.1.1", "100.100.100.200", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
    "224.0.0.1", "ff02::1", "0.0.0.0", "::",  # noqa: S104
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
    "::ffff:0.0.0.0",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_a_permission(address: str) -> None:
    with pytest.raises(ForbiddenAddress, match="has a private address"):
        require_allowed(address, allows_private=False)
    require_allowed(address, allows_private=True)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_of_clouds_and_of_the_link_are_never_allowed(address: str) -> None:
    for allows_private in (False, True):
        with pytest.raises(ForbiddenAddress):
            require_allowed(address, allows_private=allows_private)


@pytest.mark.parametrize("written", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_this_machine_is_refused_however_it_is_written(written: str) -> None:
    with serving(answering(ok(b"[]"))) as served, pytest.raises(EndpointUntrusted, match="has a private address"):
        ask(a_server(f"http://{written}:{served.port}/", allows_private=False), BODY, watch())
    assert served.connections == 0


def test_a_name_with_one_private_address_among_public_ones_is_refused() -> None:
    with serving(answering(ok(b"[]"))) as served, pytest.raises(EndpointUntrusted):
        ask(
            a_server(f"http://birds.example:{served.port}/", allows_private=False), BODY, watch(),
            resolver=lambda host, port: ["93.184.215.14", "127.0.0.1"],
        )  # fmt: skip
    assert served.connections == 0


def test_a_name_that_rebinds_is_resolved_once_and_does_not_lead_elsewhere() -> None:
    """The resolver is the seam: the system's own cannot be made to answer differently the second time."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    with serving(answering(ok(b"[]"))) as served, pytest.raises(EndpointDown):
        ask(a_server(f"http://birds.example:{served.port}/"), BODY, watch(), resolver=rebinding)
    assert (asked, served.connections) == (["birds.example"], 0)


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    with serving(answering(ok(b"[]"))) as served:
        server = a_server(f"http://birds.example:{served.port}/")
        assert ask(server, BODY, watch(), resolver=lambda host, port: ["127.0.0.2", "127.0.0.1"]) == b"[]"


@pytest.mark.parametrize(
    ("text", "host", "port", "target", "header"),
    [
        ("http://a.example", "a.example", 80, "/", "a.example"),
        ("https://a.example/x?y=1", "a.example", 443, "/x?y=1", "a.example"),
        ("http://10.0.0.1:9000/p", "10.0.0.1", 9000, "/p", "10.0.0.1:9000"),
        ("https://[fd12::1]:8443/", "fd12::1", 8443, "/", "[fd12::1]:8443"),
    ],
)
def test_a_url_is_taken_as_it_is_written(text: str, host: str, port: int, target: str, header: str) -> None:
    url = EndpointUrl.parse(text)
    assert (url.host, url.port, url.target, url.host_header) == (host, port, target, header)


@pytest.mark.parametrize(
    "text",
    [
        "", "a.example", "ftp://a.example", "file:///etc/passwd", "http://", "http://user:pw@a.example/",
        "http://a.example/#x", "http://a.example:0/", "http://a.example:99999/", "http://a.example/\r\nX: y",
        "http://a b/", "http://ä.example/", "http://a.example\\@b.example/", "http://[::1/",
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        EndpointUrl.parse(text)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of birds.example, signed by itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("birds.example")]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(encoding))
    return path


def over_tls(certificate: Path, handle: Handle) -> Handle:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def wrapped(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as encrypted:
            handle(encrypted)

    return wrapped


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def test_https_sends_to_the_name_of_the_certificate(certificate: Path, tmp_path: Path) -> None:
    body = a_large_body(tmp_path, 1)
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        seen.append(read_request(sock)[1])
        sock.sendall(ok(b"[1]"))

    with serving(over_tls(certificate, handle)) as served:
        server = a_server(f"https://birds.example:{served.port}/")
        assert ask(server, body, watch(), resolver=here, tls=trusting(certificate)) == b"[1]"
    assert len(seen[0]) == body.size


@pytest.mark.parametrize("trusted", [True, False])
def test_nothing_is_sent_to_a_server_whose_certificate_is_not_valid(certificate: Path, trusted: bool) -> None:
    got = threading.Event()

    def handle(sock: socket.socket) -> None:
        read_request(sock)
        got.set()

    tls, name = (trusting(certificate), "other.example") if trusted else (None, "birds.example")
    with serving(over_tls(certificate, handle)) as served, pytest.raises(EndpointUntrusted, match="certificate"):
        ask(a_server(f"https://{name}:{served.port}/"), BODY, watch(), resolver=here, tls=tls)
    assert not got.is_set()


def test_a_server_without_tls_at_an_https_address() -> None:
    with (
        serving(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as served,
        pytest.raises(EndpointDown, match="TLS"),
    ):
        ask(a_server(served.url.replace("http:", "https:")), BODY, watch())
