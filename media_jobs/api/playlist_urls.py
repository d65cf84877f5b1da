"""The URL of a file's HLS playlist, for the players of pages."""

from django.urls import reverse

from uploads.content.sniffing import Kind
from uploads.models import MediaFile

_MASTER = "master.m3u8"


def playlist_url(file: MediaFile, link: str) -> str:
    """The hook playlist_urls. What the file cannot be played with is known when the playlist is asked for."""
    if file.blob.kind != Kind.VIDEO:
        return ""
    return reverse("link-hls", args=[link, _MASTER]) if link else reverse("file-hls", args=[file.pk, _MASTER])
