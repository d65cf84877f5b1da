"""The parts of gunicorn that its documentation does not promise. The web server takes them from here alone.

pyproject.toml pins one version of gunicorn, and tests/unit/test_private_parts.py fails when one of these parts has
changed in another version: compare it then with what config/web_server/ assumes.
"""

from typing import Any

from gunicorn.http import get_parser
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.wsgi import FileWrapper
from gunicorn.http.wsgi import create as create_environ
from gunicorn.util import close as close_socket
from gunicorn.util import has_fileno
from gunicorn.workers.gthread import TConn, ThreadWorker

__all__ = [
    "Body",
    "FileWrapper",
    "LengthReader",
    "LimitRequestHeaders",
    "TConn",
    "ThreadWorker",
    "close_socket",
    "create_environ",
    "get_parser",
    "has_fileno",
    "response_of",
    "sends_no_body",
    "take_expect_continue",
]


def take_expect_continue(request: Any) -> bool:
    """Whether the client waits for "100 Continue". From now on gunicorn does not send it: we do."""
    expected: bool = request._expected_100_continue
    request._expected_100_continue = False
    return expected


def response_of(start_response: Any) -> Any:
    """gunicorn's Response, whose method the application gets as `start_response`."""
    return start_response.__self__


def sends_no_body(response: Any) -> bool:
    """Whether gunicorn leaves out the body: the response to a HEAD request, or with status 204 or 304."""
    return bool(response._omits_body)
