"""Operations that need an extra: whether it is installed, and which model they use here."""

from typing import Any

from .. import operations
from ..conf import jobs
from ..errors import ExtraMissing
from ..models import Worker
from ..operations.base import Operation
from ..understanding.extras import EXTRAS, SPEECH, installed
from ..understanding.whisper_models import NoModel, find_model


def require_extra(operation: Operation[Any]) -> None:
    """Refuse an operation whose extra is missing. On many hosts, one with a worker of its lane is enough."""
    extra = EXTRAS.get(operation.extra)
    if extra is None or extra in installed() or Worker.live().filter(lane=operation.lane).exists():
        return
    raise ExtraMissing(
        f"“{operation.name}” needs the extra “{extra.name}”, which is not installed. "
        f"An administrator installs it with: {extra.command}"
    )


def model_of(operation: str) -> str | None:
    """What identifies the model of an operation: another one gives another result. None: it has no model."""
    found = operations.registry.get(operation)
    if found is None or found.extra != SPEECH.name:
        return None
    try:
        return find_model(jobs().whisper_model).identity
    except NoModel:  # workers on other hosts have it
        return jobs().whisper_model
