"""Events that Python code may subscribe to, in a project that embeds Millrace: see docs/embedding.md.

Subscribers are told, they do not take part: they are called after the transaction has been committed, in the thread
that committed it, and their errors are logged. A process that ends between the commit and the call tells nobody. What
must not be missed belongs into the hooks (hooks.py), which are called inside the transaction.
"""

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import structlog

from .models import MediaFile
from .runtime.database_connections import after_commit

log = structlog.get_logger(__name__)
T = TypeVar("T")
Subscriber = Callable[[T], object]


class Event(Generic[T]):
    """Something that happens to objects of one type."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._subscribers: list[Subscriber[T]] = []

    def subscribe(self, subscriber: Subscriber[T]) -> Subscriber[T]:
        """Call the function with each object from now on. It may be used as a decorator. Twice has no effect."""
        if subscriber not in self._subscribers:
            self._subscribers.append(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber[T]) -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)

    def announce(self, find: Callable[[], T | None]) -> None:
        """Tell the subscribers once the transaction is committed. `find` reads the object then; None: it is gone."""
        if self._subscribers:
            after_commit(partial(self._tell, find))

    def _tell(self, find: Callable[[], T | None]) -> None:
        try:
            found = find()
        except Exception:
            log.exception("subscribers_not_told", subject=self.name)
            return
        if found is None:
            return
        for subscriber in list(self._subscribers):
            try:
                subscriber(found)
            except Exception:
                log.exception("subscriber_failed", subject=self.name, subscriber=repr(subscriber))


file_stored: Event[MediaFile] = Event("file_stored")
