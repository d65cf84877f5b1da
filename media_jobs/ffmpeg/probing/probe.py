"""What a file is, asked of a process of its own that has little to spend: the file may be made to break it."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...errors import BadMedia, Failure, Internal, ResourceLimit, Stalled, TimedOut, UnfitMedia
from ..failure_causes import CUT_OFF, failure, meaning
from ..process import Ended, Watch, run
from ..sandbox import Limits, Sandbox
from ..stderr_log import Log, clean_text
from . import EXIT_REFUSED, EXIT_UNCONFINED
from .media_facts import Facts

_ROOT = Path(__file__).resolve().parents[3]
_CHILD = f"{__package__}.child_process"
_GB = 1 << 30
_PATIENCE = 3.0
_NO_END = "EOI missing"  # of a JPEG; in a film of them it is nothing
_TOO_MUCH = "The file takes more time or memory to look at than a sound one does."
_UNREADABLE = "The file is of a kind that is not read here, or it is damaged."


@dataclass(frozen=True, slots=True)
class Answer:
    """What the child says of a file that could be read, and what ffmpeg's libraries complained of meanwhile."""

    said: dict[str, Any]
    log: Log


def probe(path: Path, sandbox: Sandbox, *, check: Callable[[], None] = lambda: None, seconds: float = 10.0) -> Facts:
    """Its facts, or BadMedia or UnfitMedia with the reason. `check` may raise an Interruption at any time.

    Complaints are no reason: what can be known of a damaged file is known.
    """
    return facts_of(ask("facts", path, sandbox, check=check, seconds=seconds).said)


def facts_of(answer: dict[str, Any]) -> Facts:
    try:
        facts = Facts.model_validate(answer)
    except ValidationError as error:
        raise BadMedia(_UNREADABLE) from error
    if not (facts.video or facts.audio or facts.subtitles):
        raise BadMedia("There is no picture, sound or text in the file that can be decoded.")
    return facts.model_copy(update={"title": clean_text(facts.title)[:200]})


def ask(mode: str, path: Path, sandbox: Sandbox, *, check: Callable[[], None], seconds: float) -> Answer:
    """What the child answers. Its failure is the file's fault, unless somebody killed it or kept it from running."""
    lines: list[str] = []
    limits = Limits(max(1, int(seconds)), address_space=_GB, resident=_GB, file_size=0, open_files=64)
    # Of `seconds` of work; on a machine that is busy they may take their time.
    patience = _PATIENCE * seconds
    watch = Watch(check, lines.append, timeout=patience, stall=patience)
    argv = [sys.executable, "-s", "-B", "-m", _CHILD, mode, str(path.absolute())]
    if sandbox.confines_files:
        argv.append("confined")
    try:
        ended = run(argv, sandbox=sandbox, limits=limits, folder=_ROOT, watch=watch)
    except ResourceLimit as error:
        raise BadMedia(_TOO_MUCH, log=error.log) from error
    except (TimedOut, Stalled) as error:
        raise Internal("It could not be read in time. The machine may be too busy.", log=error.log) from error
    said = _said(lines)
    if ended.code == 0 and said:
        if said.get("format") == "jpeg_pipe" and _NO_END in ended.log.text:
            raise BadMedia(CUT_OFF, log=ended.log.text)
        return Answer(said, ended.log)
    raise _refusal(ended, said, limits)


def _said(lines: list[str]) -> dict[str, Any]:
    try:
        said = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _refusal(ended: Ended, said: dict[str, Any], limits: Limits) -> Failure:
    if ended.code == EXIT_REFUSED:
        return BadMedia(str(said.get("refused", _UNREADABLE)), log=ended.log.text)
    if ended.code == EXIT_UNCONFINED:
        return Internal("The process that looks at files could not be confined to this one.", log=ended.log.text)
    cause = failure(ended, limits)
    if not isinstance(cause, Internal):
        cause = meaning(ended.log.text) or cause
    if isinstance(cause, ResourceLimit):
        cause = BadMedia(_TOO_MUCH)
    elif not isinstance(cause, BadMedia | UnfitMedia | Internal):
        cause = BadMedia(_UNREADABLE)
    cause.log = ended.log.text
    return cause
