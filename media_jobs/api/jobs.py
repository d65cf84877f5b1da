"""jobs/: submit, list, cancel, retry and delete jobs, and download their artifacts."""

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
from uploads.api.list_filters import MomentFilter, NewestFirst, OwnerFilter
from uploads.errors import MissingFile
from uploads.http.arrival_choice import arrival_choice
from uploads.http.tus_headers import join_metadata
from uploads.http.upload_handler import FILE_FIELD, ReceivedFile, checked_form_entrance
from uploads.models import Transition, Upload
from uploads.runtime.database_connections import release_connection
from uploads.scopes import Scope
from uploads.text.client_metadata import read_metadata
from uploads.transfers.admission import Announcement
from uploads.transfers.idempotency import Replay
from uploads.transfers.resumable.expiry import lifetime

from .. import permissions
from ..conf import jobs
from ..models import Job
from ..queue import cancel_and_retry
from ..queue.deletion import delete_job
from ..queue.submission import Order, parse_request, submit, submit_received, submit_with_upload
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
_POLL_INTERVAL = 0.25
# Waiting requests each hold a thread, and uploads need threads too. Beyond this number they are answered at once.
_wait_slots = threading.Semaphore(jobs().waiting_requests)


def _read_form(request: HttpRequest, user: User, fields: QueryDict) -> None:
    """Validate the request before the file in the form is read. Raises a Refusal."""
    permissions.require_submit(user)
    values = _valid(FormOrder, fields)
    key = request.headers.get("Idempotency-Key", "")
    setattr(request, _ORDER, parse_request(user, values, key, comes_later=True))


def _announcement(order: Order, upload: dict[str, Any], request: Request) -> Announcement:
    return Announcement(
        owner=order.owner, token=principal_of(request).token_id, name=upload["name"],
        protocol=Upload.Protocol.TUS, size=upload["size"], length=upload["size"], route="jobs", lifetime=lifetime(0),
        metadata=join_metadata({"filename": upload["name"]} | upload["metadata"]),
        presets=arrival_choice(request.query_params),
        file_metadata=read_metadata(upload["metadata"].get("metadata", "")) or order.metadata,
    )  # fmt: skip


def _valid(serializer_class: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    serializer = serializer_class(data=data)
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


def wait_for_end(job_id: UUID, seconds: float) -> None:
    """Wait until the job has ended or was deleted, at most `seconds`. Holds no connection between two queries."""
    if not _wait_slots.acquire(blocking=False):
        return
    try:
        until = time.monotonic() + min(seconds, LONGEST_WAIT)
        while Job.objects.filter(pk=job_id, finished_at=None).exists() and time.monotonic() < until:
            release_connection()
            time.sleep(_POLL_INTERVAL)
    finally:
        _wait_slots.release()


class JobFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    status = django_filters.MultipleChoiceFilter(choices=Job.Status.choices)
    operation = django_filters.CharFilter()
    file = django_filters.UUIDFilter(field_name="file_id", label="Id of the main file")
    owner = OwnerFilter()
    batch = django_filters.UUIDFilter(field_name="batch_id", label="Id of the batch that it belongs to")
    key = django_filters.CharFilter(field_name="idempotency_key", label="The Idempotency-Key of the request")
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
    # `create` also needs the scope `upload` if the request contains or announces a file.
    scopes: Scopes = {
        "list": Scope.READ, "retrieve": Scope.READ, "events": Scope.READ, "destroy": Scope.ADMIN,
        "create": Scope.WORK, "cancel": Scope.WORK, "retry": Scope.WORK,
    }  # fmt: skip
    serializer_class = JobSerializer
    filterset_class = JobFilter
    pagination_class = NewestFirst
    parser_classes = [StreamedFormParser, JSONParser]
    queryset = Job.objects.none()  # for the API schema; get_queryset gives the rows

    def get_queryset(self) -> Any:
        return permissions.visible_jobs(self.request.user).prefetch_related("artifacts", "inputs")

    @checked_form_entrance(_read_form)
    @extend_schema(
        request={"application/json": JobOrder, "multipart/form-data": JobForm},
        responses={202: SubmittedSerializer, 201: SubmittedSerializer},
    )
    def create(self, request: Request) -> Response:
        """Submit a job for a stored file, for a file in this form, or for a file that you will upload.

        202: the job is queued, or has a cached result. 201: now upload its file to `upload_url`. In a form, the file
        must be the last field, so that errors in the other fields are reported before the file is sent.
        """
        permissions.require_submit(request.user)  # before any error in the request is reported
        if request._request.content_type == "multipart/form-data":
            received = request.FILES.get(FILE_FIELD)
            if not isinstance(received, ReceivedFile):
                raise MissingFile(f"Send the file in the field “{FILE_FIELD}”, or send JSON with the id of a file.")
            return self._submitted(*submit_received(getattr(request._request, _ORDER), received.reception))
        values = _valid(JobOrder, request.data)
        if values.get("upload"):
            principal_of(request).require(Scope.UPLOAD)
        key, comes_later = request.headers.get("Idempotency-Key", ""), "upload" in values
        order = parse_request(request.user, values, key, comes_later=comes_later)
        if upload := values.get("upload"):
            return self._submitted(*submit_with_upload(order, _announcement(order, upload, request)))
        return self._submitted(*submit(order))

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
        needs_upload = job.status == Job.Status.UPLOADING
        code = status.HTTP_201_CREATED if needs_upload else status.HTTP_202_ACCEPTED
        return Response(answer.data, code, headers=headers)

    @extend_schema(parameters=[WaitQuery], responses=OneJobSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One job with its command and the end of its log. `?wait=30` waits up to 30 seconds for the job to end."""
        seconds = _valid(WaitQuery, request.query_params)["wait"]
        if seconds:
            wait_for_end(self.get_object().pk, seconds)
        return self._one()

    @extend_schema(parameters=[DeleteQuery], responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete a finished job and its artifacts."""
        keep = _valid(DeleteQuery, request.query_params).get("keep")
        job = self.get_object()
        permissions.require(request.user, "delete", job)
        delete_job(job, keep_artifacts=keep == "artifacts", approve=permissions.file_deletion(request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=OneJobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """Cancel a job. A running one stops within two seconds, and its output is deleted."""
        return self._act(cancel_and_retry.cancel)

    @extend_schema(request=None, responses=OneJobSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str | None = None) -> Response:
        """Run a failed or cancelled job again."""
        return self._act(cancel_and_retry.retry)

    def _act(self, verb: Callable[[Job], Job]) -> Response:
        job = self.get_object()
        permissions.require(self.request.user, "change", job)
        verb(job)
        return self._one()

    def _one(self) -> Response:
        return Response(OneJobSerializer(self.get_object(), context=self.get_serializer_context()).data)

    @extend_schema(responses=EventSerializer(many=True), filters=False, parameters=[EventsQuery])
    @action(detail=True, pagination_class=None)
    def events(self, request: Request, pk: str | None = None) -> Response:
        """The state changes of a job, all of them or those after a number."""
        after = _valid(EventsQuery, request.query_params)["after"]
        job = self.get_object()
        later = Transition.history("job", job.pk).filter(number__gt=after)
        return Response(EventSerializer(later, many=True, context={"metadata": job.metadata}).data)


class ArtifactView(APIView):
    scopes: Scopes = {"get": Scope.READ}

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY, (206, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: str, name: str) -> HttpResponseBase:
        """Download an artifact. Supports Range, If-Range and conditional requests."""
        if "\0" in name:  # PostgreSQL refuses NUL
            raise Http404
        job = get_object_or_404(permissions.visible_jobs(request.user), pk=pk)
        artifact = get_object_or_404(permissions.visible_artifacts(request.user, job), name=name)
        return content_response(request._request, artifact.file)
