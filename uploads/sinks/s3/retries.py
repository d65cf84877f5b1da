"""Repeat requests to the store while it cannot be reached. An outage of half a minute must not fail an upload.

botocore's own retries give up after a tenth of a second when a connection is refused, and all threads share their
budget. So they are off, and every request passes `repeat`.
"""

import math
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from ..base import NoSuchKey, SinkError, SinkFull
from ..patience import patience
from .error_messages import NETWORK_ERRORS, explain

log = structlog.get_logger(__name__)
T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_ABSENT = {"404", "NoSuchKey", "NoSuchUpload", "NotFound"}
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"}


def repeat(request: Callable[[], T], at_most: float = math.inf) -> T:
    """Return the result of `request`. After errors that may pass it is repeated for some time. Raises SinkError."""
    until, pause = time.monotonic() + min(patience(), at_most), _FIRST_PAUSE
    while True:
        try:
            return request()
        except (BotoCoreError, ClientError) as error:
            if not _may_pass(error) or time.monotonic() + pause > until:
                raise to_sink_error(error) from error
            log.warning("store_request_repeated", reason=str(error), pause=pause)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _may_pass(error: BotoCoreError | ClientError) -> bool:
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500 or status in {408, 429} or code_of(error) in {"RequestTimeout", "SlowDown"}
    return isinstance(error, NETWORK_ERRORS)


def to_sink_error(error: BotoCoreError | ClientError) -> SinkError:
    code = code_of(error)
    if code in _ABSENT:
        return NoSuchKey(code)
    return (SinkFull if code in _FULL else SinkError)(explain(error))


def code_of(error: BotoCoreError | ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
