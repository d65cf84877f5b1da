"""The member `metadata` of requests and answers: the client's own JSON object. Its own errors say what is wrong."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ..text.client_metadata import Metadata, checked_metadata, read_metadata


@extend_schema_field({"type": "object", "additionalProperties": True})
class MetadataField(serializers.Field[Metadata | None, Any, Metadata, Any]):
    def to_internal_value(self, data: Any) -> Metadata | None:
        """In a form it is the text of a JSON object."""
        return read_metadata(data) if isinstance(data, str) else checked_metadata(data)

    def get_attribute(self, instance: Any) -> Metadata:
        """An empty object for none."""
        return super().get_attribute(instance) or {}

    def to_representation(self, value: Metadata | None) -> Metadata:
        return value or {}
