"""What the player of a page needs: the file's own page in the admin, and the page of a signed link."""

import math
from typing import Any

from django.contrib.staticfiles import finders

from .. import hooks
from ..content.sniffing import Kind
from ..models import Blob, MediaFile
from ..storage.download_urls import download_origins, url_lifetime

_PLAYABLE = {Kind.VIDEO, Kind.AUDIO, Kind.IMAGE}
_HLS_SCRIPT = "hls/hls.min.mjs"  # of npm's package hls.js


def player_context(
    file: MediaFile, content_url: str, *, link: str = "", seconds_left: float = math.inf
) -> dict[str, Any]:
    """Values for templates/player.html. `link`: the token of a signed link, which works for `seconds_left`."""
    is_here = file.blob.state == Blob.State.STORED
    previews = [ask(file, link) for ask in hooks.player_previews] if is_here else []
    captions = next((found for found in previews if found.captions), hooks.Previews())
    lifetime = min(seconds_left, url_lifetime(file.facts, is_inline=True)) if download_origins() else 0
    return {
        "file": file,
        "is_here": is_here,
        "plays": file.blob.kind if is_here and file.blob.kind in _PLAYABLE else "",
        "content_url": content_url,
        "url_lifetime": int(lifetime),
        "playlist_url": next((url for ask in hooks.playlist_urls if (url := ask(file, link))), ""),
        "storyboard_url": next((found.storyboard for found in previews if found.storyboard), ""),
        "waveform_url": next((found.waveform for found in previews if found.waveform), ""),
        "captions_url": captions.captions,
        "captions_language": captions.captions_language,
        "duration": f"{(file.facts or {}).get('duration') or 0:.3f}",  # seconds; 0 if not known
        "hls_script": _HLS_SCRIPT if finders.find(_HLS_SCRIPT) else "",
    }
