"""What a client would rather have is no reason to give it nothing: there is JSON, and there are bytes."""

from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.metadata import SimpleMetadata
from rest_framework.negotiation import DefaultContentNegotiation


class Lenient(DefaultContentNegotiation):
    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type


class Metadata(SimpleMetadata):
    """What OPTIONS tells: name, description and types of content. Fields of bodies are in the API's description."""

    def determine_actions(self, request: Any, view: Any) -> dict[str, Any]:
        # DRF's asks of each method whether this request may use it, and would be refused for its token's scopes.
        return {}
