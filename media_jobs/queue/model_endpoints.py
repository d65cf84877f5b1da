"""Model servers for the operation `predict`: which may be chosen, and what a job is sent to."""

from collections.abc import Iterator
from typing import Any

from uploads.access.sealed_text import Unreadable, unseal
from uploads.hooks import ServiceWarning
from uploads.text.file_names import visible_text

from .. import operations
from ..errors import EndpointUnavailable, EndpointUntrusted
from ..ffmpeg.probing.media_facts import Facts
from ..models import OPENS_AFTER, Job, ModelEndpoint
from ..operations.base import Operation, Params
from ..operations.shared.sent_media import require_fit
from ..prediction.client import Server
from ..prediction.endpoint_url import EndpointUrl


def chosen(operation: Operation[Any], params: Params) -> ModelEndpoint | None:
    """The server that the parameters name. None: the operation needs none. Raises EndpointUnavailable."""
    name = operation.endpoint(params)
    if not name:
        return None
    # PostgreSQL takes no NUL, not even to look for it.
    found = ModelEndpoint.objects.filter(name=name, active=True).first() if "\0" not in name else None
    if found is None:
        raise EndpointUnavailable(
            f"There is no model server “{visible_text(name)}”, or it is switched off. {_names()}"
        )
    return found


def _names() -> str:
    names = list(_active().values_list("name", flat=True))
    return f"Choose one of: {', '.join(names)}." if names else "An administrator adds one at “Model servers”."


def _active() -> Any:
    return ModelEndpoint.objects.filter(active=True).order_by("name")


def require_fitting(endpoint: ModelEndpoint | None, kind: str, facts: Facts | None) -> None:
    """Raise UnfitMedia if the file has not what this server is sent."""
    if endpoint is not None and facts is not None:
        require_fit(endpoint.content, kind, facts)


def schema(operation: Operation[Any]) -> dict[str, Any]:
    """The JSON Schema of the parameters, with the servers that can be chosen now."""
    found = operations.schema(operation)
    if (parameter := operation.endpoint_parameter) and (servers := list(_active())):
        described = found["properties"][parameter]
        told = "; ".join(f"{each.name}: {each.title or each.content.words}" for each in servers)
        described |= {"enum": [each.name for each in servers], "description": f"{described['description']} {told}."}
    return found


def recipe(job: Job) -> dict[str, Any]:
    """What of the server determines the answer, for the cache key of the job."""
    endpoint = job.endpoint
    return {} if endpoint is None else {"endpoint": [endpoint.pk, endpoint.version]}


def is_shared(job: Job) -> bool:
    """Whether the answer for one owner is also for others."""
    return job.endpoint is not None and job.endpoint.shares_answers


def server_of(endpoint: ModelEndpoint) -> Server:
    header = None
    if endpoint.header:
        try:
            header = endpoint.header, unseal(endpoint.secret)
        except Unreadable:
            raise EndpointUntrusted(
                f"The secret of the model server “{endpoint.name}” cannot be read, as this server's secret key has "
                "changed. An administrator enters it again."
            ) from None
    url = EndpointUrl.parse(endpoint.url)
    return Server(endpoint.name, url, endpoint.timeout, header, endpoint.private_addresses)


def warnings() -> Iterator[ServiceWarning]:
    """hooks.warnings: servers that do not answer while jobs wait for them."""
    waiting = Job.objects.filter(status=Job.Status.QUEUED).values("endpoint")
    for endpoint in _active().filter(pk__in=waiting, failures__gte=OPENS_AFTER):
        words = f"Jobs wait for the model server “{endpoint.name}”, which {endpoint.reason}."
        yield ServiceWarning(f"endpoint_down:{endpoint.name}", words)
