"""Runs of operations, as a worker does them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.progress import Report
from media_jobs.operations.base import Output


@dataclass(frozen=True)
class Done:
    """What an operation made, once it was verified."""

    outputs: list[Output]
    found: list[Facts]  # of the outputs, as they turned out
    facts: Facts | None  # of the input, where it was the operation's to learn them
    message: str
    reports: list[Report]
    measured: Mapping[str, Any] | None = None

    @property
    def output(self) -> Output:
        [only] = self.outputs
        return only

    @property
    def made(self) -> Facts:
        [only] = self.found
        return only


class OperateOn(Protocol):
    def __call__(
        self,
        operation: str,
        path: Path,
        facts: Facts,
        /,
        *,
        kind: str = "video",
        resident: int | None = None,
        models: Mapping[str, str] | None = None,
        **params: Any,
    ) -> Done: ...


class Operate(Protocol):
    def __call__(
        self, operation: str, name: str, /, *, kind: str = "video", resident: int | None = None, **params: Any
    ) -> Done: ...
