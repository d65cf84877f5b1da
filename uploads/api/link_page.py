"""links/TOKEN/: the page of a signed link, with the player and the download of its file. It needs no account."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_safe

from ..access import signed_links
from ..storage.download_urls import download_origins
from ..text.sizes import human_size
from .player import player_context

# hls.js gives the player its media as a blob, and empty subtitles to begin with as data.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'{store}; "
    "media-src 'self' blob: data:{store}; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


@require_safe
def link_page(request: HttpRequest, token: str) -> HttpResponse:
    link = signed_links.resolve_link(token)
    content_url = reverse("link-content", args=[token, link.file.name])
    context = player_context(link.file, content_url, link=token, seconds_left=link.seconds_left)
    # Without the request: its session, and a cookie, have no place here.
    text = render_to_string("link_page.html", {**context, "size": human_size(link.file.blob.size)})
    response = HttpResponse(text)
    response["Content-Security-Policy"] = _POLICY.format(store="".join(f" {origin}" for origin in download_origins()))
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Cache-Control"] = "private, no-store"
    return response
