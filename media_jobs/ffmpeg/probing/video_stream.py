"""Reads the facts of a video stream from its first packets, in the child process."""

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.stream import Disposition

from ..demuxers import MAX_PIXELS
from .frame_times import GopOrder, varies
from .hdr_metadata import hdr_facts
from .stream_labels import aspect_ratio, label_facts

_ENOUGH_FRAMES = 150  # to tell a steady frame rate from a variable one
_MOST_FRAMES, _MOST_BYTES = 300, 32_000_000  # are read to find a second key frame
_WITH_OPEN_GOPS = {"h264", "mpeg2video"}
_FIELD_ORDERS = {1: "progressive", 2: "top", 3: "bottom", 4: "top", 5: "bottom"}
_COUNTED = "mov"  # the demuxer that counts all frames and knows the average rate
_ANIMATION, _ALPHA = 0x02, 0x10  # flags of WebP's VP8X chunk


class Refused(Exception):
    """The file is refused. The message is shown to its owner."""


class VideoStreamReader:
    """Collects the first packets of a video stream, until its first frame and its frame rate are known."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.context = stream, stream.codec_context
        self.context.options = {"max_pixels": str(MAX_PIXELS), "threads": "1"}
        self.frame: av.VideoFrame | None = None
        self._times: list[int] = []
        self._has_ended = False
        self._gops = GopOrder()
        self._bytes = 0
        self._has_preroll = False  # packets that an edit list hides

    @property
    def is_known(self) -> bool:
        return self._has_ended or (self.frame is not None and (self._is_rate_known or self._is_cover))

    @property
    def _is_rate_known(self) -> bool:
        frames = len(self._times)
        is_order_known = self._gops.is_known or self.context.codec.canonical_name not in _WITH_OPEN_GOPS
        return frames > _ENOUGH_FRAMES and (is_order_known or frames > _MOST_FRAMES or self._bytes > _MOST_BYTES)

    @property
    def _is_cover(self) -> bool:
        return bool(self.stream.disposition & Disposition.attached_pic)

    def add(self, packet: "av.Packet[Any]") -> None:
        self._has_ended = packet.size == 0  # the last packet flushes the decoder
        self._bytes += packet.size
        self._has_preroll = self._has_preroll or packet.is_discard
        if packet.pts is not None:
            self._times.append(packet.pts)
            self._gops.add(packet.pts, is_key=packet.is_keyframe)
        if self.frame is None:
            self.frame = next(self._decoded(packet), None)

    def _decoded(self, packet: "av.Packet[Any]") -> "Iterator[av.VideoFrame]":
        try:
            yield from packet.decode()
        except (av.error.InvalidDataError, EOFError):
            return  # the next packet may be decodable

    @property
    def _is_variable(self) -> bool:
        average = self.stream.average_rate if self.stream.container.format.name.startswith(_COUNTED) else None
        unit = self.stream.time_base
        return varies(self._times, float(1 / (average * unit)) if average and unit else None)

    @property
    def _field_order(self) -> str:
        order = _FIELD_ORDERS.get(int(self.context.field_order or 0), "")
        if self.frame and self.frame.interlaced_frame and order in {"", "progressive"}:
            return "interlaced"
        return order

    def facts(self, *, is_still: bool) -> dict[str, Any]:
        stream, context = self.stream, self.context
        coded_width, coded_height = context.width, context.height
        _check_size(coded_width, coded_height)
        if is_still and (self.frame is None or self.frame.is_corrupt):
            raise Refused("The picture cannot be decoded: the file is damaged or cut off.")
        # PyAV counts counterclockwise, from -180 to 180.
        rotation = -self.frame.rotation % 360 if self.frame else 0
        shape = stream.sample_aspect_ratio or Fraction(1)
        width, height = round(coded_width * shape) or coded_width, coded_height
        aspect = shape * coded_width / coded_height
        if rotation in (90, 270):
            width, height = height, width
        pixels = self.frame.format if self.frame else context.format
        rate = None if is_still or self._is_cover else stream.average_rate or stream.guessed_rate
        return {
            "index": stream.index,
            "codec": context.codec.canonical_name,
            "width": width,
            "height": height,
            "coded_width": coded_width,
            "coded_height": coded_height,
            "rotation": rotation,
            "fps": float(rate) if rate else None,
            "is_variable": not is_still and self._is_variable,
            "frames": stream.frames or None,
            "pixel_format": pixels.name if pixels else "",
            "bit_depth": max((component.bits for component in pixels.components), default=8) if pixels else 8,
            "sample_aspect": aspect_ratio(stream.sample_aspect_ratio),
            "display_aspect": aspect_ratio(1 / aspect if rotation in (90, 270) else aspect),
            "field_order": self._field_order,
            "is_picture": self._is_cover,
            "is_decoded": self.frame is not None,
            "is_open_gop": self._gops.is_open,
            "has_preroll": self._has_preroll,
            **hdr_facts(self.frame, context),
            **label_facts(stream),
        }


def animated_webp(number: int) -> dict[str, Any] | None:
    """Facts of an animated WebP from its header; None for other files. PyAV cannot decode one; ffmpeg 9 can."""
    head = os.pread(number, 30, 0)
    if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or len(head) < 30 or not head[20] & _ANIMATION:
        return None
    width, height = (1 + int.from_bytes(head[place : place + 3], "little") for place in (24, 27))
    _check_size(width, height)
    pixels = "argb" if head[20] & _ALPHA else "yuv420p"
    stream = {"index": 0, "codec": "webp", "width": width, "height": height, "pixel_format": pixels}
    return {"format": "webp_anim", "video": [{**stream, "coded_width": width, "coded_height": height}]}


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise Refused("The file does not say how large its picture is: it is damaged.")
    if width * height > MAX_PIXELS:
        raise Refused(
            f"The picture of {width}×{height} pixels is larger than allowed: {MAX_PIXELS // 1_000_000} megapixels."
        )
