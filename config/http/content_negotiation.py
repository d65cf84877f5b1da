"""Respond in JSON whatever the Accept header asks for, and leave details out of the response to OPTIONS."""

from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.metadata import SimpleMetadata
from rest_framework.negotiation import DefaultContentNegotiation


class Lenient(DefaultContentNegotiation):
    """Instead of status 406, use the view's first renderer."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type


class Metadata(SimpleMetadata):
    """The response to OPTIONS: name, description and content types. The OpenAPI document describes the fields."""

    def determine_actions(self, request: Any, view: Any) -> dict[str, Any]:
        # DRF would check the permissions of each method here, and fail for a token without the scopes.
        return {}
