"""A slot: this process, as one that runs jobs of a lane. Its row is how others know that it lives."""

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from django.db import Error as DatabaseFailure
from django.db import close_old_connections
from django.db.models.functions import Now

from uploads.runtime.essential_threads import end_process, start_essential

from ..conf import jobs
from ..ffmpeg import binary
from ..ffmpeg.binary import Binary
from ..ffmpeg.sandbox import Sandbox
from ..models import Worker
from ..queue.leases import claimable, is_paused, lost
from ..queue.notify import wake

log = structlog.get_logger(__name__)
BEAT = 1.0
_TOUCH = 5.0  # how often the row says that we live, and an idle worker looks for work that nobody tells of
# An idle worker whose lane has had work for this long, and which was told nothing of it, does not hear its broker.
_DEAF = 30.0
# A heartbeat that fails so often in a row, and not because of the database, will not recover in this process.
_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Equipment:
    binary: Binary
    sandbox: Sandbox


@cache
def equipment() -> Equipment:
    """The ffmpeg that this process runs, and the sandbox around it. Both are tried once, at the first call."""
    found = binary.find(jobs().ffmpeg)
    return Equipment(found, Sandbox.probe(jobs().sandbox, found.path))


class Slot:
    def __init__(self, lane: str, build: str, layers: dict[str, Any]) -> None:
        self.worker = Worker.objects.create(
            lane=lane, host=socket.gethostname(), pid=os.getpid(), build=build, layers=layers,
            seen_at=Now(), heard_at=Now(),
        )  # fmt: skip
        self._stopping, self._nudged = threading.Event(), threading.Event()
        self._renew: Callable[[], None] | None = None
        self._touched = self._heard = time.monotonic()
        self.looked = float("-inf")  # at what others have lost, and found all there that a job needs
        self._writing, self._unsaid = threading.Lock(), dict[str, Any]()
        self._failures = Counter[str]()  # in a row, of each part of the heartbeat
        start_essential("heartbeat", self._beat)

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
        """The row says so at once; or, if the database is away, as soon as it is back."""
        if self.worker.state == state:
            return
        self.hear()  # while we are busy the broker brings nothing, and need not
        with self._writing:
            self.worker.state, self._unsaid = state, {"heard_at": Now()}
        self._try("say", self._write)

    def nudge(self) -> None:
        """Let the next beat come at once: there is news."""
        self._nudged.set()

    def hold(self, renew: Callable[[], None] | None) -> None:
        """Call `renew` at every beat, until this is called with None. If it fails, the next beat calls it again."""
        self._renew = renew

    def _beat(self) -> None:
        while not self.is_stopping or self._renew is not None:
            self._nudged.wait(BEAT)
            self._nudged.clear()
            if renew := self._renew:
                self._try("renew", renew)
            if self._unsaid or time.monotonic() - self._touched >= _TOUCH:
                self._try("touch", self._touch)

    def _try(self, part: str, deed: Callable[[], None]) -> None:
        """No failure ends the heartbeat: the database may be back at the next beat, and it is asked for ever.

        After any other failure that comes again and again the process ends, so that its supervisor starts another:
        the lease expires, and the job is tried there.
        """
        try:
            deed()
        except DatabaseFailure:
            # It is away, or busy: the row goes stale, which is the truth, until the next beat.
            log.warning("worker_row_not_written", exc_info=True)
            close_old_connections()
        except Exception:
            self._failures[part] += 1
            if self._failures[part] >= _FAILURES:
                end_process("heartbeat_fails", part=part)
            log.exception("heartbeat_failed", part=part)
        else:
            self._failures[part] = 0

    def _touch(self) -> None:
        self._write()
        if self.worker.state == Worker.State.IDLE and not self.is_stopping:
            self._look_around()

    def _write(self) -> None:
        with self._writing:  # by turns: the beat must not write what we were a moment ago
            self._touched = time.monotonic()
            row = Worker.objects.filter(pk=self.worker.pk)
            if not row.update(state=self.worker.state, seen_at=Now(), **self._unsaid) and not self.is_stopping:
                self.worker.save(force_insert=True)  # it was thought to be dead, and forgotten
            self._unsaid = {}

    def _look_around(self) -> None:
        """Housekeeping may be lost: what it would tell us of, we tell ourselves. Who hears nothing of it is deaf."""
        has_work = claimable(self.lane).exists() and not is_paused(self.lane)
        if not has_work:
            self.hear()
        if has_work or lost().exists():
            wake(self.lane)
        if time.monotonic() - self._heard > _DEAF:
            log.error("worker_deaf", reason="its lane has work, and the broker brings no word of it: starting again")
            os.kill(os.getpid(), signal.SIGTERM)
