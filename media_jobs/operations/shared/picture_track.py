"""The picture of a video that an operation makes: its size, its filters, and how it is encoded."""

from ...errors import UnfitMedia
from ...ffmpeg.probing.media_facts import Facts, VideoStream
from .codecs import VIDEO, VideoCodec
from .quality_measure import SMALLEST
from .split_encode import Piece
from .video_filters import (
    deinterlace_filters,
    drop_frames_filters,
    even_size,
    fit_size,
    scale_filter,
    tone_map_filters,
)
from .video_parameters import MAX_FPS, TranscodeParams


class PictureTrack:
    """Raises UnfitMedia if the file has no picture, or one that is too small for the codec."""

    def __init__(self, params: TranscodeParams, facts: Facts) -> None:
        self.params = params
        self.codec = VIDEO[params.codec]
        self.stream = _picture(facts)
        self.size = _size(self.stream, params.height, self.codec)
        if params.vmaf is not None and min(self.size) < SMALLEST:
            raise UnfitMedia(
                f"{params.quality} needs at least {SMALLEST} pixels on each side. Choose another quality."
            )

    @property
    def rate(self) -> float | None:
        """Frames a second; None if unknown."""
        fps = self.stream.fps
        return self.params.fps or (fps if fps and fps <= MAX_FPS else None)

    @property
    def crf(self) -> float:
        """Of a quality that is no VMAF."""
        return self.codec.crf_of(self.params.quality)

    @property
    def filters(self) -> list[str]:
        """What makes the frames that are encoded of those of the source."""
        return [
            *deinterlace_filters(self.stream),
            *(drop_frames_filters(self.params.fps) if self.params.fps else []),
            scale_filter(self.stream, self.size),
            *tone_map_filters(self.stream),
            "format=yuv420p",
        ]

    def options(self, threads: int, piece: Piece | None = None, crf: float | None = None) -> tuple[str, ...]:
        """How the picture is encoded, all of it or one piece; with this CRF, or the one that the parameters give."""
        return (*self.frames(piece), *self.encoder(threads, crf))

    def frames(self, piece: Piece | None = None) -> tuple[str, ...]:
        """Options that give the encoder its frames."""
        filters = [*([piece.trim_filter] if piece else []), *self.filters]
        mapping = ("-map", f"0:{self.stream.index}", "-filter:v:0", ",".join(filters))
        return (*mapping, *(piece.timestamps if piece else self._timestamps))

    def encoder(self, threads: int, crf: float | None = None) -> tuple[str, ...]:
        return (*self.codec.encoder(threads), "-crf", f"{self.crf if crf is None else crf:g}")

    @property
    def _timestamps(self) -> tuple[str, ...]:
        if self.params.fps:
            return ("-fps_mode", "cfr", "-r", f"{self.params.fps:g}")
        # With the default time base the encoder moves the frames of a variable rate to a steady one.
        return ("-fps_mode", "vfr", "-enc_time_base", "1/90000")


def _picture(facts: Facts) -> VideoStream:
    if facts.picture is None:
        raise UnfitMedia(
            "This file has no video, only sound. Use the operation audio."
            if facts.audio
            else "This file has no video."
        )
    return facts.picture


def _size(picture: VideoStream, height: int | None, codec: VideoCodec) -> tuple[int, int]:
    size = even_size(fit_size(picture, height=height))
    if min(size) < codec.smallest:
        raise UnfitMedia(
            f"The video would have {size[0]}×{size[1]} pixels, and {codec.name} needs {codec.smallest} on each side."
        )
    return size
