"""The id of the request that this thread works for, in its log lines and jobs. Empty in a command."""

from contextlib import AbstractContextManager

from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, get_contextvars

REQUEST_ID_LENGTH = 64


def begin(request_id: str) -> None:
    """Add this request id to every log line of this thread, and remove what an earlier request added."""
    clear_contextvars()
    bind_contextvars(request_id=request_id)


def end() -> None:
    """Remove the request id: threads are reused."""
    clear_contextvars()


def current_request_id() -> str:
    return str(get_contextvars().get("request_id", ""))


def on_behalf_of(request_id: str) -> AbstractContextManager[None]:
    """Add the id of a finished request to log lines within this context: a job runs long after its request."""
    return bound_contextvars(request_id=request_id) if request_id else bound_contextvars()
