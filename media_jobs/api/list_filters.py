"""What the list of jobs can be narrowed to."""

import django_filters

from uploads.api.list_filters import MomentFilter, OwnerFilter

from ..models import Job


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
