"""Keeps one inference helper warm between jobs: loading a model takes longer than a short request.

It is replaced for another engine or another owner, after many requests, and after any error. It ends after minutes
without a request.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..errors import UnfitMedia
from ..ffmpeg.sandbox import Sandbox
from .engine import Answer, Array, Engine
from .helper_process import HelperProcess

IDLE_SECONDS = 300.0
REQUEST_SECONDS = 600.0


@dataclass(slots=True)
class WarmHelper:
    """The slot's helper. A job borrows it with `lend`; the heartbeat calls `end_if_idle`."""

    sandbox: Callable[[], Sandbox]
    idle_seconds: float = IDLE_SECONDS
    _process: HelperProcess | None = None
    _serves: tuple[object, ...] = ()  # what the process was started for
    _used_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def lend(self, owner: object, threads: int, check: Callable[[], None]) -> "Iterator[LentHelper]":
        """For one attempt at a job of this owner. `check` raises an Interruption to stop a request."""
        with self._lock:
            try:
                yield LentHelper(self, owner, threads, check)
            finally:
                self._used_at = time.monotonic()

    def end_if_idle(self) -> None:
        if self._process is None or not self._lock.acquire(blocking=False):
            return  # a job has it
        try:
            if time.monotonic() - self._used_at >= self.idle_seconds:
                self.end()
        finally:
            self._lock.release()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def end(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.end()

    def process_for(self, engine: Engine, owner: object, threads: int, check: Callable[[], None]) -> HelperProcess:
        """The warm process if it may serve this owner, or a new one."""
        process, serves = self._process, (engine, owner, threads)
        if (
            process is not None
            and serves == self._serves
            and process.requests < engine.requests
            and process.is_alive()
        ):
            return process
        self.end()
        self._process, self._serves = HelperProcess(engine, self.sandbox(), threads, check), serves
        return self._process


@dataclass(frozen=True, slots=True)
class LentHelper:
    """Implements operations.base.Inference for one attempt."""

    _helper: WarmHelper
    _owner: object
    _threads: int
    _check: Callable[[], None]

    def ask(
        self, engine: Engine, request: Mapping[str, Any], *arrays: Array, timeout: float = REQUEST_SECONDS
    ) -> Answer:
        process = self._helper.process_for(engine, self._owner, self._threads, self._check)
        try:
            return process.ask(request, arrays, self._check, timeout)
        except UnfitMedia:
            raise  # it has answered
        except BaseException:
            self._helper.end()
            raise
