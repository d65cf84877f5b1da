"""What the clients of the soak were answered and promised, and which failures were to be expected."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.drill.soak.content import Content

CUT = 0  # stands for a connection that was refused or broken, in the place of a status


@dataclass
class Ledger:
    """Threads share it. A failure is excused if it was to be expected at any moment of its request."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    files: dict[str, Content] = field(default_factory=dict)  # that a 201 has promised
    began: float = field(default_factory=time.monotonic)
    _excuses: list[tuple[int, float, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, status: int, since: float, words: object = "") -> None:
        with self._lock:
            self.answers[kind, status] += 1
            if CUT < status < 500:
                return
            if any(status == of and begin <= time.monotonic() and since <= end for of, begin, end in self._excuses):
                self.excused["connections cut" if status == CUT else str(status)] += 1
            else:
                moment = time.monotonic() - self.began
                self.wrong.append(f"{moment:.0f} s: {kind}: {status or 'cut off'} {words!r:.300}")

    def complain(self, words: str) -> None:
        with self._lock:
            self.wrong.append(f"{time.monotonic() - self.began:.0f} s: {words}")

    @contextmanager
    def excuse(self, *statuses: int) -> Iterator[None]:
        """For as long as a fault lasts, of which these come."""
        began = time.monotonic()
        with self._lock:
            self._excuses += [(status, began, float("inf")) for status in statuses]
        try:
            yield
        finally:
            with self._lock:
                for status in statuses:
                    self._excuses.remove((status, began, float("inf")))
                    self._excuses.append((status, began, time.monotonic()))
