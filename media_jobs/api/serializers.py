"""Serializers of jobs and of requests for jobs. They contain no rules of their own."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from uploads.api.metadata_field import MetadataField
from uploads.models import Transition

from ..models import PRESET_NAME_LENGTH, Artifact, Job
from ..queue import children, status_text


class ArtifactSerializer(serializers.ModelSerializer[Artifact]):
    class Meta:
        model = Artifact
        fields = ["name", "file"]


class JobError(serializers.Serializer[Job]):
    code = serializers.CharField()
    detail = serializers.CharField()


class Measured(serializers.Serializer[Job]):
    vmaf = serializers.FloatField()
    target = serializers.FloatField()
    crf = serializers.FloatField()
    model = serializers.CharField(help_text="Of VMAF: vmaf_v0.6.1, or vmaf_4k_v0.6.1 above 2560×1440 pixels")
    encodes = serializers.IntegerField(help_text="2 if the first result missed the target by more than 1")
    limit = serializers.CharField(help_text="`best` or `worst`: the codec has no CRF that reaches the target, or ")


class JobUrls(serializers.Serializer[Job]):
    self = serializers.URLField()
    events = serializers.URLField()
    cancel = serializers.URLField()


class JobListSerializer(serializers.ListSerializer[Job]):
    """Queries the lanes and the children once for all jobs of a page."""

    lanes: status_text.Lanes
    children: dict[UUID, dict[str, int]]

    def to_representation(self, data: Any) -> Any:
        jobs = list(data)
        self.children = children.counts([job.pk for job in jobs if not job.is_finished])
        self.lanes = status_text.Lanes.now(jobs)
        return super().to_representation(jobs)


class JobSerializer(serializers.ModelSerializer[Job]):
    owner = serializers.CharField(source="owner.username", read_only=True)
    inputs = serializers.SerializerMethodField()
    artifacts = ArtifactSerializer(many=True, read_only=True)
    error = serializers.SerializerMethodField()
    message = serializers.SerializerMethodField()
    attempt = serializers.IntegerField(
        read_only=True, help_text="The number of the latest attempt; 0 before the first one and for a cached result"
    )
    waiting_for = serializers.SerializerMethodField()
    children = serializers.SerializerMethodField(
        help_text="While it is split into parts: how many there are, and how many are queued, running and succeeded"
    )
    measured = serializers.SerializerMethodField(
        help_text="After a transcode with a target such as vmaf:93: the VMAF of the result, measured over the whole"
    )
    metadata = MetadataField(read_only=True)
    urls = serializers.SerializerMethodField()

    class Meta:
        model = Job
        list_serializer_class = JobListSerializer
        fields = [
            "id", "status", "phase", "progress", "message", "operation", "version", "params", "preset", "metadata",
            "batch", "file", "inputs", "artifacts", "error", "measured", "attempt", "cached", "automatic",
            "on_arrival", "priority", "owner", "waiting_for", "children", "speed", "eta_seconds", "created_at",
            "started_at", "finished_at", "urls",
        ]  # fmt: skip
        read_only_fields = fields

    def get_inputs(self, job: Job) -> list[str]:
        return [str(item.file_id) for item in sorted(job.inputs.all(), key=lambda item: item.number)]

    @extend_schema_field(JobError(allow_null=True))
    def get_error(self, job: Job) -> dict[str, str] | None:
        return {"code": job.error_code, "detail": job.error_detail} if job.error_code else None

    def get_message(self, job: Job) -> str:
        return status_text.message_of(job)

    def get_waiting_for(self, job: Job) -> str | None:
        page = self.parent
        lanes = page.lanes if isinstance(page, JobListSerializer) else status_text.Lanes.now([job])
        return status_text.waiting_for(job, lanes)

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField(), allow_null=True))
    def get_children(self, job: Job) -> dict[str, int] | None:
        page = self.parent
        counts = page.children if isinstance(page, JobListSerializer) else children.counts([job.pk])
        return counts.get(job.pk)

    @extend_schema_field(Measured(allow_null=True))
    def get_measured(self, job: Job) -> dict[str, Any] | None:
        return job.measured

    @extend_schema_field(JobUrls)
    def get_urls(self, job: Job) -> dict[str, str]:
        request = self.context.get("request")
        names = {"self": "job-detail", "events": "job-events", "cancel": "job-cancel"}
        return {key: reverse(name, [job.pk], request=request) for key, name in names.items()}


class OneJobSerializer(JobSerializer):
    """A job with its command and log, which lists leave out."""

    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "command", "log"]
        read_only_fields = fields


class SubmittedSerializer(OneJobSerializer):
    """The response to a request for a job."""

    job_id = serializers.UUIDField(source="id", read_only=True)
    status_url = serializers.SerializerMethodField()
    upload_url = serializers.SerializerMethodField(
        help_text="The URL to upload its file to, by PUT or tus; null if it needs no upload"
    )

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
    metadata = serializers.SerializerMethodField(help_text="Of the job, as it is in each event")

    class Meta:
        model = Transition
        fields = ["number", "state", "detail", "metadata", "created_at"]

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_metadata(self, _: Transition) -> dict[str, Any]:
        found: dict[str, Any] | None = self.context["metadata"]
        return found or {}


class Strict(serializers.Serializer[Any]):
    """Refuses unknown names, which are probably typing errors."""

    def to_internal_value(self, data: Any) -> Any:
        known = {*self.fields, "csrfmiddlewaretoken"}
        # `super` reports data that is not an object.
        unknown = [name for name in data if name not in known] if isinstance(data, Mapping) else []
        values = super().to_internal_value(data)
        if unknown:
            names = ", ".join(self.fields)
            raise serializers.ValidationError(
                {_shown(name): [f"Unknown field. Known fields: {names}."] for name in unknown}
            )
        return values


class UploadOrder(Strict):
    name = serializers.CharField(max_length=255)
    size = serializers.IntegerField(min_value=1, max_value=2**62)
    metadata = serializers.DictField(
        child=serializers.CharField(max_length=1000, allow_blank=True), required=False, default=dict,
        help_text="Returned in the Upload-Metadata header of tus",
    )  # fmt: skip


class FormOrder(Strict):
    """The fields of a form before the file."""

    operation = serializers.CharField(max_length=32, required=False, help_text="Send this or `preset`")
    params = serializers.JSONField(
        required=False, help_text="Parameters of the operation; operations/ has their schema"
    )
    preset = serializers.CharField(
        max_length=PRESET_NAME_LENGTH, required=False, help_text="The name or id of a preset; yours come first"
    )
    inputs = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        max_length=64,
        help_text="Ids of further input files",
    )
    metadata = MetadataField(
        required=False,
        allow_null=True,
        help_text="A small JSON object of your own; a file that comes with it gets it, too",
    )
    priority = serializers.IntegerField(required=False, default=0, help_text="From -10 to 0; for staff up to 10")

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if "preset" in values and values.keys() & {"operation", "params"}:
            raise serializers.ValidationError({"preset": ["Send either `preset`, or `operation` and `params`."]})
        if not values.keys() & {"preset", "operation"}:
            raise serializers.ValidationError({"operation": ["Send `operation` or `preset`."]})
        return values


class JobForm(FormOrder):
    """The whole form, for the API schema. The file must be the last field."""

    file = serializers.FileField()


class JobOrder(FormOrder):
    """A request for a job as JSON, with either `file` or `upload`, unless the parameters name files by their ids."""

    file = serializers.UUIDField(required=False, help_text="Id of the file to process")
    upload = UploadOrder(required=False, help_text="The file that you will upload for this job. Send this or `file`.")

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if "file" in values and "upload" in values:
            raise serializers.ValidationError({"file": ["Give either `file` or `upload`."]})
        return super().validate(values)


class WaitQuery(serializers.Serializer[Any]):
    wait = serializers.FloatField(
        min_value=0, max_value=3600, default=0, help_text="Seconds to wait for the end of the job; at most 60"
    )


class EventsQuery(serializers.Serializer[Any]):
    after = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, default=0, help_text="Only events after this number"
    )


class DeleteQuery(serializers.Serializer[Any]):
    keep = serializers.ChoiceField(
        ["artifacts"], required=False, help_text="`artifacts`: do not delete the artifacts"
    )


def _shown(name: Any) -> str:
    """An unknown name for the response, shortened. JSON allows lone surrogates, which cannot be encoded."""
    return str(name)[:80].encode(errors="replace").decode()
