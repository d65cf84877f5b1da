"""The sites whose pages send parts of direct uploads: our own, and those that may use the API."""

from urllib.parse import urlsplit

from django.conf import settings

from ..conf import limits
from .stores import direct_sink


def page_origins() -> list[str]:
    """Our own site, if its address is known, and the sites of MILLRACE_CORS_ORIGINS."""
    if getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False):
        return ["*"]
    own = urlsplit(limits().public_url)
    found = [f"{own.scheme}://{own.netloc}"] if own.netloc else []
    return [*found, *getattr(settings, "CORS_ALLOWED_ORIGINS", [])]


def refused_origins() -> list[str]:
    """Those whose pages the bucket's rules do not allow to send parts. Raises SinkError."""
    return direct_sink().direct.refused_origins(page_origins())
