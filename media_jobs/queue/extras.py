"""Operations that need an extra: whether it is installed, and which model they use here."""

from typing import Any

from .. import operations
from ..conf import jobs
from ..errors import ExtraMissing
from ..models import Worker
from ..operations.base import Operation
from ..understanding.extras import EXTRAS, SPEECH, install_command, installed
from ..understanding.whisper_models import NoModel, find_model, weights_for


def require_extra(operation: Operation[Any]) -> None:
    """Refuse an operation whose extra or model is missing. On many hosts, one with a worker of its lane is enough."""
    extra = EXTRAS.get(operation.extra)
    if extra is None:
        return
    if extra in installed():
        if extra is not SPEECH:  # the only one that may lack its weights
            return
        try:
            find_model(jobs().whisper_model)
        except NoModel as reason:
            raise ExtraMissing(f"“{operation.name}” cannot run. {reason}") from reason
    elif not Worker.live().filter(lane=operation.lane).exists():
        command = install_command(extra, *weights_for(jobs().whisper_model))
        raise ExtraMissing(
            f"“{operation.name}” needs the extra “{extra.name}”, which is not installed. "
            f"An administrator installs it with: {command}"
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
