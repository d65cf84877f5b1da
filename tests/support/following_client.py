"""A client that follows redirects as a good one does: with all its headers, except credentials for another host."""

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.support.server import Answer

_MOST = 5


def fetch(url: str, headers: Mapping[str, str], method: str = "GET") -> list[Answer]:
    """All answers, the last one is no redirect."""
    answers: list[Answer] = []
    sent = dict(headers)
    for _ in range(_MOST):
        answers.append(_ask(method, url, sent))
        if answers[-1].status not in {301, 302, 303, 307, 308}:
            return answers
        if urlsplit(target := str(answers[-1].headers["Location"])).netloc != urlsplit(url).netloc:
            sent.pop("Authorization", None)
        url = target
    raise AssertionError(f"redirected {_MOST} times: {url}")


def _ask(method: str, url: str, headers: Mapping[str, str]) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request(method, f"{parts.path}{'?' if parts.query else ''}{parts.query}", headers=dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.msg, response.read())
    finally:
        connection.close()
