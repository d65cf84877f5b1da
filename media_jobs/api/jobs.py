"""jobs/: work, asked for, looked at and steered."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import django_filters
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from uploads.access.authentication import Scopes, principal_of
from uploads.api.download import content_response
from uploads.api.files import EntranceMixin, StreamedFormParser
from uploads.api.lists import MomentFilter, NewestFirst, OwnerFilter
from uploads.errors import MissingFile
from uploads.http.upload_handler import FILE_FIELD, ReceivedFile, gated_form_entrance
from uploads.runtime.database_connections import let_go
from uploads.scopes import Scope
from uploads.transfers.admission import Replay
from uploads.transitions import past

from .. import policy
from ..models import Job
from ..queue import control, job_requests
from ..queue.deletion import delete_job
from ..queue.submission import submit, submit_received
from .serializers import (
    DeleteQuery,
    EventSerializer,
    EventsQuery,
    FormOrder,
    JobForm,
    JobOrder,
    JobSerializer,
    OneJobSerializer,
    SubmittedSerializer,
    WaitQuery,
)

_ORDER = "_millrace_order"
LONGEST_WAIT = 60.0
_LOOK_EVERY = 0.25
# So many requests may wait at a time, as each takes a thread, and uploads need threads, too. Others are answered at
# once.
_places = threading.Semaphore(64)


def _read_form(request: HttpRequest, user: User, fields: QueryDict) -> None:
    """Before the first byte of a form's file: what is to be done with it, or a refusal."""
    policy.require_submit(user)
    said = _valid(FormOrder, fields)
    setattr(request, _ORDER, job_requests.order(user, said, request.headers.get("Idempotency-Key", "")))


def _valid(shape: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    asked = shape(data=data)
    asked.is_valid(raise_exception=True)
    said: dict[str, Any] = asked.validated_data
    return said


def wait_for_end(job_id: UUID, seconds: float) -> None:
    """Return when the job has finished or is gone, or after `seconds`. No connection is held between two queries."""
    if not _places.acquire(blocking=False):
        return
    try:
        until = time.monotonic() + min(seconds, LONGEST_WAIT)
        while Job.objects.filter(pk=job_id, finished_at=None).exists() and time.monotonic() < until:
            let_go()
            time.sleep(_LOOK_EVERY)
    finally:
        _places.release()


class JobFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    status = django_filters.MultipleChoiceFilter(choices=Job.Status.choices)
    operation = django_filters.CharFilter()
    file = django_filters.UUIDFilter(field_name="file_id", label="Jobs whose main file has this id")
    owner = OwnerFilter()
    key = django_filters.CharFilter(field_name="idempotency_key", label="The Idempotency-Key of its request")
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Job
        fields: list[str] = []


class JobViewSet(
    EntranceMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[Job],
):
    # `create` needs `upload`, too, where bytes come with it or after it.
    scopes: Scopes = {
        "list": Scope.READ, "retrieve": Scope.READ, "events": Scope.READ, "destroy": Scope.ADMIN,
        "create": Scope.WORK, "cancel": Scope.WORK, "retry": Scope.WORK,
    }  # fmt: skip
    serializer_class = JobSerializer
    filterset_class = JobFilter
    pagination_class = NewestFirst
    parser_classes = [StreamedFormParser, JSONParser]
    queryset = Job.objects.none()  # for the API's documentation; the answer is get_queryset's

    def get_queryset(self) -> Any:
        return policy.visible_jobs(self.request.user).prefetch_related("artifacts", "inputs")

    @gated_form_entrance(_read_form)
    @extend_schema(
        request={"application/json": JobOrder, "multipart/form-data": JobForm},
        responses={202: SubmittedSerializer, 201: SubmittedSerializer},
    )
    def create(self, request: Request) -> Response:
        """Ask for work on a file: one that is here, one that comes in this form, or one still to be sent.

        202: it is queued, or answered already. 201: send its upload now, to `upload_url`. In a form, every field
        comes before the file: what is wrong with them is said before the file is read.
        """
        policy.require_submit(request.user)  # before anything is said of what was sent
        if request._request.content_type == "multipart/form-data":
            received = request.FILES.get(FILE_FIELD)
            if not isinstance(received, ReceivedFile):
                raise MissingFile(f"Send the file in the field “{FILE_FIELD}”, or JSON that names one.")
            return self._submitted(*submit_received(getattr(request._request, _ORDER), received.reception))
        said = _valid(JobOrder, request.data)
        if said.get("upload"):
            principal_of(request).require(Scope.UPLOAD)
        order = job_requests.order(request.user, said, request.headers.get("Idempotency-Key", ""))
        return self._submitted(*job_requests.place(order, said.get("upload"), principal_of(request).token_id))

    def handle_exception(self, error: Exception) -> Response:
        order = getattr(self.request._request, _ORDER, None)
        if isinstance(error, Replay) and order is not None:
            try:
                return self._submitted(*submit(replace(order, file=error.file)), replayed=True)
            except Exception as refusal:
                error = refusal
        return super().handle_exception(error)

    def _submitted(self, job: Job, is_new: bool, *, replayed: bool = False) -> Response:
        answer = SubmittedSerializer(job, context=self.get_serializer_context())
        headers = {"Location": answer.data["urls"]["self"]}
        if replayed or not is_new:
            headers["Idempotency-Replayed"] = "true"
        waits = job.status == Job.Status.UPLOADING
        return Response(answer.data, status.HTTP_201_CREATED if waits else status.HTTP_202_ACCEPTED, headers=headers)

    @extend_schema(parameters=[WaitQuery], responses=OneJobSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One job, with the command that was run and the end of its log. `?wait=30` answers when it has ended."""
        seconds = _valid(WaitQuery, request.query_params)["wait"]
        if seconds:
            wait_for_end(self.get_object().pk, seconds)
        return self._one()

    @extend_schema(parameters=[DeleteQuery], responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete a finished job and what it made."""
        keep = _valid(DeleteQuery, request.query_params).get("keep")
        job = self.get_object()
        policy.require(request.user, "delete", job)
        delete_job(job, keep_artifacts=keep == "artifacts", approve=policy.file_deletion(request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=OneJobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """Stop it within two seconds, and throw away what it made."""
        return self._steered(control.cancel)

    @extend_schema(request=None, responses=OneJobSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str | None = None) -> Response:
        """Run a failed or cancelled job again."""
        return self._steered(control.retry)

    def _steered(self, verb: Callable[[Job], Job]) -> Response:
        job = self.get_object()
        policy.require(self.request.user, "change", job)
        verb(job)
        return self._one()

    def _one(self) -> Response:
        return Response(OneJobSerializer(self.get_object(), context=self.get_serializer_context()).data)

    @extend_schema(responses=EventSerializer(many=True), filters=False, parameters=[EventsQuery])
    @action(detail=True, pagination_class=None)
    def events(self, request: Request, pk: str | None = None) -> Response:
        """What has become of it, from the beginning or after a number."""
        after = _valid(EventsQuery, request.query_params)["after"]
        later = past("job", self.get_object().pk).filter(number__gt=after)
        return Response(EventSerializer(later, many=True).data)


class ArtifactView(APIView):
    scopes: Scopes = {"get": Scope.READ}

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY, (206, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: str, name: str) -> HttpResponseBase:
        """The bytes of what a job made. Understands Range, If-Range and conditional requests."""
        if "\0" in name:  # which PostgreSQL cannot even look for
            raise Http404
        job = get_object_or_404(policy.visible_jobs(request.user), pk=pk)
        made = get_object_or_404(policy.visible_artifacts(request.user, job), name=name)
        return content_response(request._request, made.file)
