"""The model server of an attempt: takes a place there, sends the content, and notes whether the server answers."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ..errors import EndpointBadAnswer, EndpointDown, EndpointRefused, EndpointUntrusted, Failure
from ..models import Job, ModelEndpoint
from ..operations.base import ModelServer, NoModelServer
from ..prediction.client import Watch, ask
from ..prediction.sent_content import Body, SentContent
from ..queue import endpoint_breaker
from ..queue.model_endpoints import server_of

log = structlog.get_logger(__name__)


def model_server_of(job: Job, check: Callable[[], None]) -> ModelServer:
    """Raises EndpointBusy if the server takes no further job. `check` raises an Interruption to stop a request."""
    if job.endpoint_id is None:
        return NoModelServer()
    endpoint_breaker.take_place(job)
    endpoint = ModelEndpoint.objects.filter(pk=job.endpoint_id).first()
    return NoModelServer() if endpoint is None else ConfiguredServer(endpoint, check)


@dataclass(frozen=True, slots=True)
class ConfiguredServer:
    """Implements operations.base.ModelServer."""

    _endpoint: ModelEndpoint
    _check: Callable[[], None]

    @property
    def content(self) -> SentContent:
        return self._endpoint.content

    def ask(self, body: Body, on_sent: Callable[[int], None], on_wait: Callable[[float], None]) -> bytes:
        endpoint = self._endpoint
        try:
            answer = ask(server_of(endpoint), body, Watch(self._check, on_sent, on_wait))
        except EndpointDown as failure:
            self._log(failure)
            failure.attempts = endpoint.retries + 1
            if busy := endpoint_breaker.note_failure(endpoint.pk, failure):
                raise busy from None
            raise
        except (EndpointRefused, EndpointBadAnswer) as failure:
            self._log(failure)
            endpoint_breaker.note_success(endpoint.pk)  # it has answered, though not as it should
            raise
        except EndpointUntrusted as failure:
            self._log(failure)
            raise
        endpoint_breaker.note_success(endpoint.pk)
        return answer

    def _log(self, failure: Failure) -> None:
        log.warning(
            "model_server_failed", server=self._endpoint.name, code=failure.code, cause=str(failure.__cause__)
        )
