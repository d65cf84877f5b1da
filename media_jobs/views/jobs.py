"""jobs/: work, asked for, looked at and steered."""

import time
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from uploads import resuming
from uploads.connections import let_go
from uploads.models import MediaFile, Transition, Upload
from uploads.receiving import Announcement, Replay
from uploads.views.download import content_response
from uploads.views.files import NewestFirst

from .. import leases, policy
from ..filters import JobFilter
from ..models import Artifact, Job
from ..serializers import EventSerializer, JobOrder, JobSerializer, OneJobSerializer, SubmittedSerializer
from ..submitting import Order, delete_job, retry, submit

_LONGEST_WAIT = 60.0
_LOOK_EVERY = 0.25


class JobViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[Job]
):
    serializer_class = JobSerializer
    filterset_class = JobFilter
    pagination_class = NewestFirst
    parser_classes = [JSONParser]
    queryset = Job.objects.none()  # for the API's documentation; the answer is get_queryset's

    def get_queryset(self) -> Any:
        return policy.visible_jobs(self.request.user).prefetch_related("artifacts", "inputs")

    @extend_schema(request=JobOrder, responses={202: SubmittedSerializer, 201: SubmittedSerializer})
    def create(self, request: Request) -> Response:
        """Ask for work on a file. 202: it is queued, or answered. 201: send its upload now, to `upload_url`."""
        order = JobOrder(data=request.data)
        order.is_valid(raise_exception=True)
        said = order.validated_data
        owner = policy.require_submit(request.user, said["priority"])
        key = request.headers.get("Idempotency-Key", "")
        asked = {name: said[name] for name in ("operation", "params", "priority")} | {"key": key}
        if "upload" in said:
            job, is_new = self._submit_with_upload(Order(owner, **asked), said["upload"])
        else:
            files = [self._usable(pk) for pk in (said["file"], *said["inputs"])]
            job, is_new = submit(Order(owner, file=files[0], inputs=files[1:], **asked))
        answer = SubmittedSerializer(job, context=self.get_serializer_context())
        headers = {"Location": answer.data["urls"]["self"]} | ({} if is_new else {"Idempotency-Replayed": "true"})
        waits = job.status == Job.Status.UPLOADING
        return Response(answer.data, status.HTTP_201_CREATED if waits else status.HTTP_202_ACCEPTED, headers=headers)

    def _usable(self, pk: Any) -> MediaFile:
        try:
            return policy.usable_files(self.request.user).get(pk=pk)
        except MediaFile.DoesNotExist as error:
            raise Http404 from error

    def _submit_with_upload(self, order: Order, said: dict[str, Any]) -> tuple[Job, bool]:
        announcement = Announcement(
            owner=order.owner, name=said["name"], protocol=Upload.Protocol.TUS, size=said["size"],
            length=said["size"], key=order.key, route="jobs", kept_for=resuming.kept_for(0),
        )  # fmt: skip
        with transaction.atomic():  # a job that is refused leaves no upload behind
            try:
                upload = resuming.begin(announcement)
            except Replay as replay:
                upload = replay.upload
            return submit(replace(order, upload=upload))

    @extend_schema(
        responses=OneJobSerializer,
        parameters=[OpenApiParameter("wait", float, description="Seconds to wait for its end")],
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One job, with the command that was run and the end of its log. `?wait=30` answers when it has ended."""
        until = time.monotonic() + min(_seconds(request.query_params.get("wait", "")), _LONGEST_WAIT)
        while not (job := self.get_object()).is_finished and time.monotonic() < until:
            let_go()
            time.sleep(_LOOK_EVERY)
        return Response(OneJobSerializer(job, context=self.get_serializer_context()).data)

    @extend_schema(parameters=[OpenApiParameter("keep", str, enum=["artifacts"], description="Keep what it made")])
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete a finished job and what it made."""
        job = self.get_object()
        policy.require(request.user, "delete", job)
        delete_job(job, keep_artifacts=request.query_params.get("keep") == "artifacts")
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=OneJobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """Stop it within two seconds, and throw away what it made."""
        return self._steered(leases.cancel)

    @extend_schema(request=None, responses=OneJobSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str | None = None) -> Response:
        """Run a failed or cancelled job again."""
        return self._steered(retry)

    def _steered(self, verb: Any) -> Response:
        job = self.get_object()
        policy.require(self.request.user, "change", job)
        verb(job)
        return Response(OneJobSerializer(self.get_object(), context=self.get_serializer_context()).data)

    @extend_schema(
        responses=EventSerializer(many=True), filters=False,
        parameters=[OpenApiParameter("after", int, description="Only what has a higher number")],
    )  # fmt: skip
    @action(detail=True, pagination_class=None)
    def events(self, request: Request, pk: str | None = None) -> Response:
        """What has become of it, from the beginning on or after a number."""
        after = int(_seconds(request.query_params.get("after", "")))
        past = Transition.objects.filter(subject="job", subject_id=self.get_object().pk, number__gt=after)
        return Response(EventSerializer(past.order_by("number"), many=True).data)

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY, (206, "*/*"): OpenApiTypes.BINARY}, filters=False)
    def artifact(self, request: Request, pk: str, name: str) -> HttpResponseBase:
        """The bytes of what it made, by the artifact's name."""
        made = Artifact.objects.select_related("file__blob").filter(job=self.get_object())
        return content_response(request._request, get_object_or_404(made, name=name).file)


def _seconds(raw: str) -> float:
    """Of a query; what is no number counts for nothing."""
    try:
        return max(0.0, float(raw))
    except ValueError:
        return 0.0
