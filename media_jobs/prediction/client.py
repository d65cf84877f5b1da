"""One request to a model server: it is sent a body, and what it answers is checked. It can be stopped at any moment.

http.client speaks HTTP, over a WatchedSocket. Nothing is held whole but the answer, of which at most MAX_ANSWER bytes
are read. No redirect is followed, no proxy is used, and no compressed answer is accepted.
"""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from ..errors import EndpointBadAnswer, EndpointDown, EndpointRefused, EndpointUntrusted
from .addresses import ForbiddenAddress, Resolver, allowed_addresses, system_resolver
from .endpoint_url import EndpointUrl
from .retry_after import seconds_of
from .sent_content import Body
from .watched_socket import Stalled, WatchedSocket, connected

MAX_ANSWER = 1_000_000  # bytes
_LONGEST_WAIT = 3600.0  # seconds: a larger Retry-After is not believed
_EARLY_ANSWER = 5.0  # seconds in which a server that takes no more may say why
_REPORT_EVERY = 0.5
_BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    url: EndpointUrl
    timeout: float  # seconds for the whole request
    header: tuple[str, str] | None = field(default=None, repr=False)  # its name, and the secret
    allows_private: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks. They are called about four times a second, in every phase."""

    check: Callable[[], None]  # raises to stop the request
    on_sent: Callable[[int], None]  # bytes of the body
    on_wait: Callable[[float], None]  # seconds since all was sent


def ask(
    server: Server, body: Body, watch: Watch, *, resolver: Resolver = system_resolver,
    tls: ssl.SSLContext | None = None,
) -> bytes:  # fmt: skip
    """The answer of the server: the bytes of a JSON document. Raises a Failure, or what `watch.check` raises."""
    deadline, url = time.monotonic() + server.timeout, server.url
    with _as_failures(server):
        addresses = allowed_addresses(
            url.host, url.port, allows_private=server.allows_private, resolver=resolver, check=watch.check,
            deadline=deadline, clock=time.monotonic,
        )  # fmt: skip
        with connected(addresses, url.port, watch.check, deadline) as sock:
            if url.is_encrypted:
                sock.encrypt(tls or ssl.create_default_context(), url.host)
            return _Exchange(server, body, watch, sock).run()


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, sock: WatchedSocket) -> None:
        super().__init__(host)
        self.sock: Any = sock  # documented: what `connect` sets


class _Exchange:
    def __init__(self, server: Server, body: Body, watch: Watch, sock: WatchedSocket) -> None:
        self._server, self._body, self._watch, self._sock = server, body, watch, sock
        self._http = _Connection(server.url.host_header, sock)

    def run(self) -> bytes:
        self._send_head()
        cut: OSError | None = None
        try:
            self._send_body()
        except (BrokenPipeError, ConnectionResetError, Stalled) as error:
            cut = error
        response = self._response() if cut is None else self._early_response(cut)
        self._require_success(response)
        if cut is not None:
            raise self._bad("answered before it had received everything")
        return self._json(response)

    def _send_head(self) -> None:
        http_, url = self._http, self._server.url
        http_.putrequest("POST", url.target, skip_host=True, skip_accept_encoding=True)
        headers = {
            "Host": url.host_header, "User-Agent": "Millrace", "Accept": "application/json",
            "Accept-Encoding": "identity", "Connection": "close", "Content-Type": self._body.content_type,
            "Content-Length": str(self._body.size),
        }  # fmt: skip
        if self._server.header is not None:
            name, secret = self._server.header
            headers[name] = secret
        for name, value in headers.items():
            http_.putheader(name, value)
        http_.endheaders()

    def _send_body(self) -> None:
        sent, reported = 0, 0.0
        for block in self._body.blocks():
            self._watch.check()
            self._sock.sendall(block)
            sent += len(block)
            if (now := time.monotonic()) - reported >= _REPORT_EVERY:
                reported = now
                self._watch.on_sent(sent)

    def _response(self) -> http.client.HTTPResponse:
        """The head of the answer. Meanwhile and later, the seconds that it takes are reported."""
        began, check, reported = time.monotonic(), self._watch.check, 0.0

        def tick() -> None:
            nonlocal reported
            check()
            waited = time.monotonic() - began
            if waited - reported >= 1.0:
                reported = waited
                self._watch.on_wait(waited)

        self._sock.check = tick
        return self._http.getresponse()

    def _early_response(self, cut: OSError) -> http.client.HTTPResponse:
        """What a server said that did not take the whole body; else why it was cut off."""
        self._sock.deadline = min(self._sock.deadline, time.monotonic() + _EARLY_ANSWER)
        try:
            return self._http.getresponse()
        except (OSError, http.client.HTTPException):
            stalled = "takes nothing of what it is sent"
            reason = stalled if isinstance(cut, Stalled) else "closed the connection while the content was sent"
            raise EndpointDown(self._server.name, reason) from cut

    def _require_success(self, response: http.client.HTTPResponse) -> None:
        status, name = response.status, self._server.name
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise self._bad(
                "redirected the request, and Millrace follows no redirects. An administrator enters the final URL"
            )
        if status >= 500 or status in _BUSY:
            wait = seconds_of(response.getheader("Retry-After"))
            pause = None if wait is None else timedelta(seconds=min(wait, _LONGEST_WAIT))
            too_many = "has too many requests" if status == HTTPStatus.TOO_MANY_REQUESTS else None
            reason = too_many or f"answers with the error {status}"
            raise EndpointDown(name, reason, wait=pause, has_answered=True)
        if status < 200:
            raise self._bad(f"answered with the status {status}, which is no answer")
        raise EndpointRefused(f"The model server “{name}” refused the request with the status {status}.")

    def _json(self, response: http.client.HTTPResponse) -> bytes:
        if response.length is not None and response.length > MAX_ANSWER:
            raise self._bad(_TOO_LONG)
        answer = response.read(MAX_ANSWER + 1)
        if len(answer) > MAX_ANSWER:
            raise self._bad(_TOO_LONG)
        if response.length:  # what is missing of the length that it announced
            raise EndpointDown(self._server.name, _CUT_OFF)
        if trouble := _trouble_of(answer):
            raise self._bad(f"answered {trouble}")
        return answer

    def _bad(self, what: str) -> EndpointBadAnswer:
        return EndpointBadAnswer(f"The model server “{self._server.name}” {what}.")


_TOO_LONG = f"answered more than the {MAX_ANSWER // 1_000_000} MB that are kept"
_CUT_OFF = "closed the connection before its answer was complete"


def _trouble_of(answer: bytes) -> str:
    """Why these bytes are no JSON document, or ""."""
    try:
        json.loads(answer.decode("utf-8"), parse_constant=_refuse, parse_int=str, parse_float=str)
    except UnicodeDecodeError:
        return "something that is not UTF-8"
    except RecursionError:
        return "JSON that is nested too deeply"
    except ValueError:
        return "something that is not JSON"
    return ""


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity, which Python reads and JSON has not


@contextmanager
def _as_failures(server: Server) -> Iterator[None]:
    """Turn errors of the connection into Failures, whose sentences name neither an address nor the secret."""
    try:
        yield
    except ForbiddenAddress as reason:
        raise EndpointUntrusted(f"The model server “{server.name}” {reason}.") from None
    except ssl.SSLCertVerificationError as error:
        raise EndpointUntrusted(f"The certificate of the model server “{server.name}” is not valid.") from error
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
        raise EndpointDown(server.name, "closed the connection without an answer") from error
    except http.client.IncompleteRead as error:
        raise EndpointDown(server.name, _CUT_OFF) from error
    except http.client.HTTPException as error:
        raise EndpointBadAnswer(f"The model server “{server.name}” answered something that is not HTTP.") from error
    except ssl.SSLError as error:
        raise EndpointDown(server.name, "does not complete the TLS handshake") from error
    except Stalled as error:
        raise EndpointDown(server.name, "does not accept connections") from error
    except TimeoutError as error:
        raise EndpointDown(server.name, f"did not answer within {server.timeout:g} s") from error
    except OSError as error:
        raise EndpointDown(server.name, "does not accept connections") from error
