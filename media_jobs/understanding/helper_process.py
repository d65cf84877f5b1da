"""One inference helper, as the worker sees it: starts it in the sandbox, asks it, watches it and kills it.

Only the thread that runs the attempt asks it: `check` raises there when the job must stop.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Failure, InferenceFailed, ResourceLimit, Stalled, UnfitMedia
from ..ffmpeg.error_output import Log
from ..ffmpeg.process import TICK, Usage, kill_group
from ..ffmpeg.progress import duration_text
from ..ffmpeg.sandbox import Limits, Sandbox
from .engine import Answer, Array, Engine
from .helper import OUT_OF_MEMORY

_ROOT = Path(__file__).resolve().parents[2]
_HELPER = f"{__package__}.helper"
_GB = 1 << 30
# For the whole life of a helper, which answers a hundred requests at most.
_LIMITS = Limits(cpu_seconds=24 * 3600, address_space=2 * _GB, resident=2 * _GB, file_size=0, open_files=128)
_PIECE = 1 << 18
_LONGEST_ANSWER = 64 << 20
_MEMORY = "The model needed more memory than an inference process may use: 2 GB. Choose a smaller model."


class HelperProcess:
    def __init__(self, engine: Engine, sandbox: Sandbox, threads: int, check: Callable[[], None]) -> None:
        """Start the helper, and wait until it has loaded its model."""
        self._log, self._buffer = Log(), bytearray()
        read = [str(path.absolute()) for path in engine.files] if sandbox.confines_files else None
        options = {"module": engine.module, "arguments": engine.arguments, "threads": threads, "read": read}
        argv = [sys.executable, "-s", "-B", "-m", _HELPER, json.dumps(options)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module in the sandbox
            sandbox.wrap(argv, _LIMITS),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=sandbox.environment(_ROOT) | _environment(threads), cwd=_ROOT, start_new_session=True,
        )  # fmt: skip
        self._usage = Usage(self._process.pid)
        self.requests = 0
        try:
            for pipe in self._pipes:
                os.set_blocking(pipe, False)
            self._receive([], check, engine.start_timeout)
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def resident(self) -> int:
        """The most bytes of memory that it has used so far."""
        self._usage.update()
        return self._usage.resident

    def ask(
        self, request: Mapping[str, Any], arrays: Sequence[Array], check: Callable[[], None], timeout: float
    ) -> Answer:
        """The engine's answer. After any error but a refusal the helper is in no known state: end it."""
        self.requests += 1
        described = [[array.dtype.str, array.shape] for array in arrays]
        header = json.dumps({"request": request, "arrays": described}).encode() + b"\n"
        # Arrays may have tens of megabytes: they are not copied.
        raw = [np.ascontiguousarray(array).data.cast("B") for array in arrays if array.size]
        return self._receive([memoryview(header), *raw], check, timeout)

    def is_alive(self) -> bool:
        # WNOWAIT: `end` reaps it.
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def end(self) -> None:
        """Kill it. Call it once."""
        with suppress(ProcessLookupError, ChildProcessError):
            kill_group(self._process)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):  # what was not written is flushed
                pipe.close()  # type: ignore[union-attr]

    @property
    def _pipes(self) -> tuple[int, int, int]:
        pipes = self._process.stdin, self._process.stdout, self._process.stderr
        stdin, stdout, stderr = (pipe.fileno() for pipe in pipes if pipe is not None)
        return stdin, stdout, stderr

    def _receive(self, request: Sequence[memoryview], check: Callable[[], None], timeout: float) -> Answer:
        """Write a request, and read the line that answers it."""
        stdin, stdout, stderr = self._pipes
        rest, until, checked_at = list(request), time.monotonic() + timeout, 0.0
        with selectors.DefaultSelector() as selector:
            for pipe in (stdout, stderr):
                selector.register(pipe, selectors.EVENT_READ)
            if rest:
                selector.register(stdin, selectors.EVENT_WRITE)
            while b"\n" not in self._buffer:
                for key, _ in selector.select(TICK):
                    if key.fd == stdin:
                        self._write(stdin, rest)
                        if not rest:
                            selector.unregister(stdin)
                    elif not self._read(key.fd, stdout):
                        selector.unregister(key.fd)
                        if key.fd == stdout:
                            raise self._died()
                if (now := time.monotonic()) - checked_at >= TICK / 2:
                    checked_at = now
                    check()
                    self._enforce(now > until, timeout)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return self._parsed(line)

    def _write(self, stdin: int, rest: list[memoryview]) -> None:
        """Write some bytes of the first piece, and leave the others."""
        try:
            rest[0] = rest[0][os.write(stdin, rest[0][:_PIECE]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            raise self._died() from None
        if not rest[0]:
            del rest[0]

    def _read(self, pipe: int, stdout: int) -> bool:
        data = os.read(pipe, _PIECE)
        if pipe != stdout:
            self._log.feed(data)
        elif len(self._buffer) > _LONGEST_ANSWER:
            raise self._failure("gave an answer that does not end")
        else:
            self._buffer += data
        return bool(data)

    def _enforce(self, is_over: bool, timeout: float) -> None:
        if self.resident > _LIMITS.resident:
            raise ResourceLimit(_MEMORY, log=self._log.text)
        if is_over:
            raise Stalled(f"The model gave no answer within {duration_text(timeout)}.", log=self._log.text)

    def _parsed(self, line: bytes | bytearray) -> Answer:
        said = json.loads(line)
        if "answer" in said:
            answer: Answer = said["answer"]
            return answer
        if "refused" in said:
            raise UnfitMedia(said["refused"])
        if said["failed"] == OUT_OF_MEMORY:
            raise ResourceLimit(_MEMORY, log=self._log.text)
        raise self._failure(f"reported an error: {said['failed']}")

    def _died(self) -> Failure:
        return self._failure("ended")

    def _failure(self, what: str) -> Failure:
        return InferenceFailed(f"The process that runs the model {what}.", log=self._log.text)


def _environment(threads: int) -> dict[str, str]:
    # Threads that wait must sleep: on a busy machine, spinning took ten times the CPU time of the work itself.
    # No process asks a model hub, whatever a library thinks is missing.
    # glibc keeps what it once had: returning blocks of 4 MB takes a quarter off the memory, and costs nothing.
    return {
        "HF_HUB_OFFLINE": "1",
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(4 << 20),
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),  # of detectors that are not installed beside our packages
        "OPENBLAS_NUM_THREADS": "1",  # numpy starts its threads before the helper confines itself
        "PYTHONUNBUFFERED": "1",
    }
