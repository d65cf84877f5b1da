"""What jobs need besides their parameters: extras, their models, and model servers."""

from pydantic import ValidationError

from .. import operations
from ..conf import jobs
from ..errors import ExtraMissing
from ..models import Job, ModelEndpoint, Worker
from ..operations.base import Operation, P
from ..understanding.extras import EXTRAS, SPEECH, Extra, NoModel, install_command, installed
from ..understanding.whisper_models import weights_for
from . import model_endpoints


def require_available(operation: Operation[P], params: P) -> ModelEndpoint | None:
    """The model server that the parameters choose. ExtraMissing, EndpointUnavailable: a job could not run now."""
    require_extras(operation, params)
    return model_endpoints.chosen(operation, params)


def require_extras(operation: Operation[P], params: P) -> None:
    """Refuse a job whose extra or model is missing. On many hosts, one worker of its lane that has it is enough."""
    needed = [EXTRAS[name] for name in operation.extras_of(params)]
    for extra in needed:
        _require(extra, operation.name, operation.lane_of(params))
    if needed and set(needed) <= set(installed()):
        try:
            operation.check_models(params, jobs().models)
        except NoModel as reason:
            raise ExtraMissing(f"“{operation.name}” cannot run. {reason}") from reason


def _require(extra: Extra, operation: str, lane: str) -> None:
    if extra not in installed() and not any(worker.has(extra.name) for worker in Worker.live().filter(lane=lane)):
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
