"""Reads the facts of a media file in a sandboxed child process with low limits, since the file may be hostile."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...errors import BadMedia, Failure, Internal, ResourceLimit, Stalled, TimedOut, UnfitMedia
from ..error_output import CUT_OFF, Log, ProcessResult, failure_of, known_failure
from ..process import Watch, run
from ..sandbox import Limits, Sandbox
from . import EXIT_REFUSED, EXIT_UNCONFINED
from .media_facts import FACTS_VERSION, Facts
from .notes import notes_of

_ROOT = Path(__file__).resolve().parents[3]
_CHILD = f"{__package__}.child_process"
_GB = 1 << 30
_PATIENCE = 3.0  # times the seconds of work: a busy machine is slower
_NO_END = "EOI missing"  # a JPEG is cut off; in MJPEG video this is harmless
_TOO_MUCH = "Reading the file takes more time or memory than a sound file needs: it is damaged."
_UNREADABLE = "The file has a format that Millrace does not read, or it is damaged."


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON that the child printed for a readable file, and the messages of ffmpeg's libraries."""

    values: dict[str, Any]
    log: Log


def probe(path: Path, sandbox: Sandbox, *, check: Callable[[], None] = lambda: None, seconds: float = 10.0) -> Facts:
    """The facts of a file. Raises BadMedia or UnfitMedia with the reason, or what `check` raised.

    Error messages of ffmpeg's libraries alone are no reason: a damaged file has facts, too.
    """
    return parse_facts(run_child("facts", path, sandbox, check=check, seconds=seconds).values)


def parse_facts(answer: dict[str, Any]) -> Facts:
    try:
        facts = Facts.model_validate(answer)
    except ValidationError as error:
        raise BadMedia(_UNREADABLE) from error
    if not (facts.video or facts.audio or facts.subtitles):
        raise BadMedia("The file has no picture, sound or subtitles that can be decoded.")
    return facts.model_copy(update={"version": FACTS_VERSION, "notes": notes_of(facts)})


def run_child(mode: str, path: Path, sandbox: Sandbox, *, check: Callable[[], None], seconds: float) -> Answer:
    """Run the child and return its answer.

    A failure of the child is the file's fault, unless it was killed or could not be confined.
    """
    lines: list[str] = []
    limits = Limits(max(1, int(seconds)), address_space=_GB, resident=_GB, file_size=0, open_files=64)
    timeout = _PATIENCE * seconds
    watch = Watch(check, lines.append, timeout=timeout, stall_timeout=timeout)
    argv = [sys.executable, "-s", "-B", "-m", _CHILD, mode, str(path.absolute())]
    if sandbox.confines_files:
        argv.append("confined")
    try:
        result = run(argv, sandbox=sandbox, limits=limits, folder=_ROOT, watch=watch)
    except ResourceLimit as error:
        raise BadMedia(_TOO_MUCH, log=error.log) from error
    except (TimedOut, Stalled) as error:
        raise Internal("The file could not be read in time: the server may be too busy.", log=error.log) from error
    values = _parse(lines)
    if result.code == 0 and values:
        if values.get("format") == "jpeg_pipe" and _NO_END in result.log.text:
            raise BadMedia(CUT_OFF, log=result.log.text)
        return Answer(values, result.log)
    raise _failure_of_child(result, values, limits)


def _parse(lines: list[str]) -> dict[str, Any]:
    try:
        values = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _failure_of_child(result: ProcessResult, values: dict[str, Any], limits: Limits) -> Failure:
    if result.code == EXIT_REFUSED:
        return BadMedia(str(values.get("refused", _UNREADABLE)), log=result.log.text)
    if result.code == EXIT_UNCONFINED:
        return Internal("The process that reads the file could not be confined to it.", log=result.log.text)
    cause = failure_of(result, limits)
    if not isinstance(cause, Internal):
        cause = known_failure(result.log.text) or cause
    if isinstance(cause, ResourceLimit):
        cause = BadMedia(_TOO_MUCH)
    elif not isinstance(cause, BadMedia | UnfitMedia | Internal):
        cause = BadMedia(_UNREADABLE)
    cause.log = result.log.text
    return cause
