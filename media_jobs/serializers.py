"""The shape of what the API shows of jobs. No rules: those are in policy and the verbs."""

from functools import cached_property
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from uploads.models import Transition

from . import wording
from .models import Artifact, Job
from .operations import schema
from .operations.base import Operation


class OperationSerializer(serializers.Serializer[Operation[Any]]):
    name = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    summary = serializers.CharField()
    lane = serializers.CharField()
    kinds = serializers.SerializerMethodField()
    parameters = serializers.SerializerMethodField(help_text="JSON Schema of `params`")

    def get_kinds(self, operation: Operation[Any]) -> list[str]:
        return sorted(operation.kinds)

    @extend_schema_field(serializers.DictField())
    def get_parameters(self, operation: Operation[Any]) -> dict[str, Any]:
        return schema(operation)


class ArtifactSerializer(serializers.ModelSerializer[Artifact]):
    class Meta:
        model = Artifact
        fields = ["name", "file"]


class JobError(serializers.Serializer[Job]):
    code = serializers.CharField()
    detail = serializers.CharField()


class JobUrls(serializers.Serializer[Job]):
    self = serializers.URLField()
    events = serializers.URLField()
    cancel = serializers.URLField()


class JobListSerializer(serializers.ListSerializer[Job]):
    @cached_property
    def lanes(self) -> wording.Lanes:
        return wording.Lanes.now()


class JobSerializer(serializers.ModelSerializer[Job]):
    owner = serializers.CharField(source="owner.username", read_only=True)
    inputs = serializers.SerializerMethodField()
    artifacts = ArtifactSerializer(many=True, read_only=True)
    error = serializers.SerializerMethodField()
    attempt = serializers.SerializerMethodField()
    waiting_for = serializers.SerializerMethodField()
    urls = serializers.SerializerMethodField()

    class Meta:
        model = Job
        list_serializer_class = JobListSerializer
        fields = [
            "id", "status", "phase", "progress", "message", "operation", "version", "params", "file", "inputs",
            "artifacts", "error", "attempt", "cached", "automatic", "priority", "owner", "waiting_for", "speed",
            "eta_seconds", "created_at", "started_at", "finished_at", "urls",
        ]  # fmt: skip
        read_only_fields = fields

    def get_inputs(self, job: Job) -> list[str]:
        return [str(item.file_id) for item in sorted(job.inputs.all(), key=lambda item: item.number)]

    @extend_schema_field(JobError(allow_null=True))
    def get_error(self, job: Job) -> dict[str, str] | None:
        return {"code": job.error_code, "detail": job.error_detail} if job.error_code else None

    def get_attempt(self, job: Job) -> int:
        return job.attempts + (job.status == Job.Status.RUNNING or job.attempts == 0)

    def get_waiting_for(self, job: Job) -> str | None:
        whole = self.parent
        return wording.waiting_for(job, whole.lanes if isinstance(whole, JobListSerializer) else wording.Lanes.now())

    @extend_schema_field(JobUrls)
    def get_urls(self, job: Job) -> dict[str, str]:
        request = self.context.get("request")
        names = {"self": "job-detail", "events": "job-events", "cancel": "job-cancel"}
        return {key: reverse(name, [job.pk], request=request) for key, name in names.items()}


class OneJobSerializer(JobSerializer):
    """With what a list would be too long for."""

    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "command", "log"]
        read_only_fields = fields


class SubmittedSerializer(OneJobSerializer):
    """What a request for a job is answered with."""

    job_id = serializers.UUIDField(source="id", read_only=True)
    status_url = serializers.SerializerMethodField()
    upload_url = serializers.SerializerMethodField(help_text="Where the bytes of its file are to go, by tus")

    class Meta(OneJobSerializer.Meta):
        fields = [*OneJobSerializer.Meta.fields, "job_id", "status_url", "upload_url"]
        read_only_fields = fields

    def get_status_url(self, job: Job) -> str:
        return self.get_urls(job)["self"]

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_upload_url(self, job: Job) -> str | None:
        if job.status != Job.Status.UPLOADING or job.upload_id is None:
            return None
        return reverse("upload-detail", [job.upload_id], request=self.context.get("request"))


class EventSerializer(serializers.ModelSerializer[Transition]):
    class Meta:
        model = Transition
        fields = ["number", "state", "detail", "created_at"]


class UploadOrder(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=255)
    size = serializers.IntegerField(min_value=1)


class JobOrder(serializers.Serializer[Any]):
    """What a request for a job says."""

    operation = serializers.CharField(max_length=32)
    params = serializers.JSONField(required=False, default=dict, help_text="See operations/ for their schema")
    file = serializers.UUIDField(required=False, help_text="The file to work on")
    upload = UploadOrder(required=False, help_text="Instead of `file`: one that is still to be sent")
    inputs = serializers.ListField(child=serializers.UUIDField(), required=False, default=list, max_length=64)
    priority = serializers.IntegerField(required=False, default=0)

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        if ("file" in said) == ("upload" in said):
            raise serializers.ValidationError({"file": ["Name either a file that is here, or an upload to come."]})
        return said
