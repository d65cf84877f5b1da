"""A slot: this process, as one that runs jobs of a lane. Its row is how others know that it lives."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.db import Error as DatabaseFailure
from django.db import close_old_connections
from django.db.models.functions import Now

from .leases import claimable, is_paused
from .models import Worker

log = structlog.get_logger(__name__)
BEAT = 1.0
_TOUCH = 5.0  # how often the row says that we live
# An idle worker whose lane has had work for this long, and which was told nothing of it, does not hear its broker.
_DEAF = 30.0


class Slot:
    def __init__(self, lane: str, build: str, layers: dict[str, Any]) -> None:
        self.worker = Worker.objects.create(
            lane=lane, host=socket.gethostname(), pid=os.getpid(), build=build, layers=layers,
            seen_at=Now(), heard_at=Now(),
        )  # fmt: skip
        self._stopping, self._nudged = threading.Event(), threading.Event()
        self._renew: Callable[[], None] | None = None
        self._touched = self._heard = time.monotonic()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()

    @property
    def lane(self) -> str:
        return self.worker.lane

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Begin nothing more, and give back what is running."""
        self._stopping.set()

    def leave(self) -> None:
        """The row goes: nobody should wait for us."""
        Worker.objects.filter(pk=self.worker.pk).delete()

    def hear(self) -> None:
        self._heard = time.monotonic()

    def become(self, state: Worker.State) -> None:
        if self.worker.state != state:
            self.worker.state = state
            Worker.objects.filter(pk=self.worker.pk).update(state=state, seen_at=Now(), heard_at=Now())
            self._touched = time.monotonic()

    def nudge(self) -> None:
        """Let the next beat come at once: there is news."""
        self._nudged.set()

    def hold(self, renew: Callable[[], None] | None) -> None:
        """Call `renew` at every beat, until this is called with None. It must not raise."""
        self._renew = renew

    def _beat(self) -> None:
        while not self.is_stopping or self._renew is not None:
            self._nudged.wait(BEAT)
            self._nudged.clear()
            if renew := self._renew:
                renew()
            try:
                self._touch()
            except DatabaseFailure:
                # It is away, or busy: the row goes stale, which is the truth, until the next beat.
                log.warning("worker_row_not_written", exc_info=True)
                close_old_connections()

    def _touch(self) -> None:
        if time.monotonic() - self._touched < _TOUCH:
            return
        self._touched = time.monotonic()
        worker = Worker.objects.filter(pk=self.worker.pk)
        if not worker.update(seen_at=Now()) and not self.is_stopping:
            self.worker.save(force_insert=True)  # it was thought to be dead, and forgotten
        if self.worker.state == Worker.State.IDLE and self._is_deaf():
            log.error("worker_deaf", reason="its lane has work, and the broker brings no word of it: starting again")
            os.kill(os.getpid(), signal.SIGTERM)

    def _is_deaf(self) -> bool:
        if is_paused(self.lane) or not claimable(self.lane).exists():
            self.hear()
        return time.monotonic() - self._heard > _DEAF
