"""Jobs that need an extra: whether it is installed, and which models they use here."""

from pydantic import ValidationError

from .. import operations
from ..conf import jobs
from ..errors import ExtraMissing
from ..models import Job, Worker
from ..operations.base import Operation, P
from ..understanding.extras import EXTRAS, SPEECH, Extra, install_command, installed
from ..understanding.whisper_models import NoModel, find_model, weights_for


def require_extras(operation: Operation[P], params: P) -> None:
    """Refuse a job whose extra or model is missing. On many hosts, one with a worker of its lane is enough."""
    for name in operation.extras_of(params):
        _require(EXTRAS[name], operation.name, operation.lane_of(params))


def _require(extra: Extra, operation: str, lane: str) -> None:
    if extra in installed():
        if extra is not SPEECH:  # the only one that may lack its weights
            return
        try:
            find_model(jobs().whisper_model)
        except NoModel as reason:
            raise ExtraMissing(f"“{operation}” cannot run. {reason}") from reason
    elif not Worker.live().filter(lane=lane).exists():
        command = install_command(extra, *(weights_for(jobs().whisper_model) if extra is SPEECH else ()))
        raise ExtraMissing(
            f"“{operation}” needs the extra “{extra.name}”, which is not installed. "
            f"An administrator installs it with: {command}"
        )


def models_of(job: Job) -> str | None:
    """What identifies the models of a job: others give another result. None: it uses none."""
    operation = operations.registry.get(job.operation)
    if operation is None:
        return None
    try:
        params = operation.parameters.model_validate(job.params)
    except ValidationError:  # a plug-in was changed meanwhile
        return None
    return operation.model_identity(params, jobs().models)
