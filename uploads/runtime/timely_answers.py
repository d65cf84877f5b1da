"""Ask something that may not answer, such as a store in the network, without waiting for long."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class TimelyAnswer(Generic[T]):
    """One thread asks at a time. Others wait with it, and get the last answer if it takes too long."""

    def __init__(self, *, lasts: float = 0.0) -> None:
        """`lasts`: seconds in which an answer is given again instead of asking."""
        self._lasts = lasts
        self._lock = threading.Lock()
        self._asking: Future[T] | None = None
        self._last: tuple[T, float] | None = None  # with its time

    def get(self, ask: Callable[[], T], wait: float) -> T | None:
        """Return the answer. After `wait` seconds: the last one, or None. Raises what asking raises."""
        with self._lock:
            if self._last is not None and time.monotonic() - self._last[1] < self._lasts:
                return self._last[0]
            if self._asking is None:
                self._asking = Future()
                threading.Thread(target=self._run, args=(ask, self._asking), daemon=True).start()
            asking = self._asking
        try:
            return asking.result(wait)
        except TimeoutError:
            return self._last[0] if self._last is not None else None

    def _run(self, ask: Callable[[], T], asking: "Future[T]") -> None:
        try:
            answer = ask()
        except BaseException as error:
            self._end()
            asking.set_exception(error)
        else:
            self._end((answer, time.monotonic()))
            asking.set_result(answer)

    def _end(self, answer: tuple[T, float] | None = None) -> None:
        with self._lock:
            self._asking = None
            self._last = answer or self._last
