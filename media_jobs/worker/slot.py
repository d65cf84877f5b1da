"""A slot: a worker process that runs one job at a time. Its Worker row shows others that it is alive."""

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
from ..queue.lost_leases import lost
from ..queue.notify import wake_all
from ..queue.scheduling import is_paused
from ..queue.upload_checks import has_work
from ..understanding import extras
from ..understanding.warm_helper import WarmHelper
from .inputs import room, sweep_inputs

log = structlog.get_logger(__name__)
BEAT = 1.0  # seconds between heartbeats
# How often the Worker row is written, and an idle worker looks for work that no message has announced.
_ROW_INTERVAL = 5.0
_SWEEP_INTERVAL = 60.0  # housekeeping may run on other hosts only
# An idle worker whose lane has work, but which has got no message for this long, is not connected to the broker.
_DEAF_AFTER = 30.0
# Consecutive failures, not counting database errors, after which the heartbeat will not recover in this process.
_MOST_FAILURES = 5


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
            seen_at=Now(), heard_at=Now(), room=_largest_input(), extras=", ".join(map(str, extras.installed())),
        )  # fmt: skip
        self._stopping, self._beat_now = threading.Event(), threading.Event()
        self.helper = WarmHelper(lambda: equipment().sandbox)
        self._renew: Callable[[], None] | None = None
        self._row_written_at = self._heard_at = self._swept_at = time.monotonic()
        self.ready_at = float("-inf")  # when everything that a job needs was last found
        self._writing, self._unwritten = threading.Lock(), dict[str, Any]()
        self._failures = Counter[str]()  # in a row, of each part of the heartbeat
        start_essential("heartbeat", self._beat)

    @property
    def lane(self) -> str:
        return self.worker.lane

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Claim no other job, and release the one that runs."""
        self._stopping.set()

    def leave(self) -> None:
        """Delete the Worker row, so that no job waits for this worker."""
        Worker.objects.filter(pk=self.worker.pk).delete()

    def note_message(self) -> None:
        """The broker has brought a message, so the connection to it works."""
        self._heard_at = time.monotonic()

    def set_state(self, state: Worker.State) -> None:
        """Write the state at once; or, if the database is away, as soon as it is back."""
        if self.worker.state == state:
            return
        self.note_message()  # a busy worker takes no messages: only from now on may they be missed
        with self._writing:
            self.worker.state, self._unwritten = state, {"heard_at": Now()}
        self._guard("state", self._write_row)

    def beat_now(self) -> None:
        """Let the next heartbeat come at once, as there is something to write."""
        self._beat_now.set()

    def hold(self, renew: Callable[[], None] | None) -> None:
        """Call `renew` at every heartbeat, until this is called with None."""
        self._renew = renew

    def _beat(self) -> None:
        while not self.is_stopping or self._renew is not None:
            self._beat_now.wait(BEAT)
            self._beat_now.clear()
            if renew := self._renew:
                self._guard("renew", renew)
            self._guard("helper", self.helper.end_if_idle)
            if time.monotonic() - self._swept_at >= _SWEEP_INTERVAL:
                self._swept_at = time.monotonic()
                self._guard("inputs", sweep_inputs)
            if self._unwritten or time.monotonic() - self._row_written_at >= _ROW_INTERVAL:
                self._guard("row", self._refresh)

    def _guard(self, part: str, function: Callable[[], object]) -> None:
        """Call a part of the heartbeat. No error ends the heartbeat: it tries again a second later.

        After too many errors in a row, not counting those of the database, the process ends, and its supervisor
        starts another. The lease expires, and a worker tries the job again.
        """
        try:
            function()
        except DatabaseFailure:
            # The database is away or busy. Until a later heartbeat, the row rightly shows no sign of life.
            log.warning("worker_row_not_written", exc_info=True)
            close_old_connections()
        except Exception:
            self._failures[part] += 1
            if self._failures[part] >= _MOST_FAILURES:
                end_process("heartbeat_fails", part=part)
            log.exception("heartbeat_failed", part=part)
        else:
            self._failures[part] = 0

    def _refresh(self) -> None:
        self._write_row()
        if self.worker.state == Worker.State.IDLE and not self.is_stopping:
            self._look_for_work()

    def _write_row(self) -> None:
        with self._writing:  # one thread at a time, so that no older state is written last
            self._row_written_at = time.monotonic()
            row, self.worker.room = Worker.objects.filter(pk=self.worker.pk), _largest_input()
            changes = {"state": self.worker.state, "room": self.worker.room, "seen_at": Now()} | self._unwritten
            if not row.update(**changes) and not self.is_stopping:
                self.worker.save(force_insert=True)  # others took this worker for dead and deleted the row
            self._unwritten = {}

    def _look_for_work(self) -> None:
        """Send this lane messages if there is work. Housekeeping does so, too, but may not be running.

        A worker that receives no broker messages ends itself, so that its supervisor starts another.
        """
        there_is_work = has_work(self.lane, room()) and not is_paused(self.lane)
        if not there_is_work:
            self.note_message()
        if there_is_work or lost().exists():
            wake_all(self.lane)
        if time.monotonic() - self._heard_at > _DEAF_AFTER:
            log.error("worker_deaf", reason="no broker message although the lane has work: the worker restarts")
            os.kill(os.getpid(), signal.SIGTERM)


def _largest_input() -> int | None:
    """For the column `room`."""
    return space.size if (space := room()) else None
