"""For which request this thread works, so that its log lines and its jobs can name it. Nothing, in a command."""

from contextlib import AbstractContextManager

from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, get_contextvars

REQUEST_ID_LENGTH = 64


def begin(request_id: str) -> None:
    """From here on, every line that this thread logs has the id of this request, and of no other."""
    clear_contextvars()
    bind_contextvars(request_id=request_id)


def end() -> None:
    """Threads are reused: what they do next is nobody's until it is said whose."""
    clear_contextvars()


def current_request_id() -> str:
    return str(get_contextvars().get("request_id", ""))


def on_behalf_of(request_id: str) -> AbstractContextManager[None]:
    """While this lasts, lines have the id of a request that was answered long ago."""
    return bound_contextvars(request_id=request_id) if request_id else bound_contextvars()
