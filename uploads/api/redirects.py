"""Which downloads are redirected to the store or its CDN, and which this server sends itself.

This server sends what a redirect would break:

- **Small content.** It is sent as fast as a redirect. And browsers load subtitles and other texts of a page from the
  page's own origin only.
- **Requests with credentials, unless the client is known to drop them.** A client that sends its Authorization header
  along would show its token to the store; and the store refuses a URL that is signed and a header besides.
- **Requests that name our ETag or date.** The store has others. A request that names the store's ETag continues a
  download from the store, and goes there.
"""

import re

from django.http import HttpRequest, HttpResponse

from ..http.byte_ranges import ByteRange
from ..models import Blob
from ..storage.download_urls import etag_in_store

# Fetched by the server, content up to this size costs no more than the redirect and the client's second request.
_SMALL = 1024**2
# Each was tried, or it is in the client's documentation: they send no Authorization header to another host or port.
# Browsers are not among them. Their scripts would need the store's permission (CORS), their users send cookies.
_DROPS_CREDENTIALS = re.compile(
    r"curl/(7\.(8[3-9]|9\d)|[89]|\d\d)|python-requests/2\.|python-httpx/|Python/3\.\d+ aiohttp/3\."
)


def may_redirect(request: HttpRequest, blob: Blob, wanted: ByteRange | None) -> bool:
    """Whether the store would answer the same as this server, which would send the range `wanted`."""
    if request.method != "GET" or blob.size <= _SMALL or not _drops_credentials(request):
        return False
    asked = request.headers
    if (named := asked.get("If-Range") or asked.get("If-Match")) is not None:
        return named == etag_in_store(blob)
    # Several ranges, or none that is valid: stores differ in what they do.
    return "If-Unmodified-Since" not in asked and (wanted is not None or "Range" not in asked)


def _drops_credentials(request: HttpRequest) -> bool:
    if "Authorization" not in request.headers:
        return True
    return _DROPS_CREDENTIALS.match(request.headers.get("User-Agent", "")) is not None


def redirect_to(url: str) -> HttpResponse:
    """Not Django's HttpResponseRedirect: it refuses long URLs, and a signed URL contains the name of the file."""
    response = HttpResponse(status=302, headers={"Location": url})
    response["Cache-Control"] = "private, no-store"  # a cache would keep it longer than it is valid
    response["Referrer-Policy"] = "no-referrer"  # the path may be a signed link
    return response
