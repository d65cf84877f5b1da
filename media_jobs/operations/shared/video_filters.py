"""Sizes and ffmpeg filters for pictures: scaling, deinterlacing, frame rate and HDR.

ffmpeg rotates a picture upright before the first filter, so sizes here are those of the displayed picture.
"""

from ...ffmpeg.probing.media_facts import VideoStream

MAX_SIDE = 16383  # of a WebP; JPEG and H.264 allow a little more

# Both matrices are named: ffmpeg takes an HDR file that does not name its matrix for standard definition.
_AS_HDR = ":in_color_matrix=bt2020:out_color_matrix=bt2020:out_range=limited"
AS_BT709 = ":out_color_matrix=bt709"
_TRANSFER = {"pq": "smpte2084", "hlg": "arib-std-b67"}


def fit_size(stream: VideoStream, *, width: int | None = None, height: int | None = None) -> tuple[int, int]:
    """The largest size within these bounds that keeps the aspect ratio. A smaller picture is not enlarged."""
    ratio = min(
        1.0,
        (width or stream.width) / stream.width,
        (height or stream.height) / stream.height,
        MAX_SIDE / max(stream.width, stream.height),
    )
    return max(1, round(stream.width * ratio)), max(1, round(stream.height * ratio))


def even_size(size: tuple[int, int]) -> tuple[int, int]:
    """Round down to even numbers: codecs with 4:2:0 colour need them."""
    return max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2)


def scale_filter(stream: VideoStream, size: tuple[int, int], *, full_range: bool = False, matrix: str = "") -> str:
    """Scale to this size, with square pixels. Images use the full range of values, videos the limited one.

    `matrix`: of the colours of what is not HDR, such as AS_BT709; "" leaves it.
    """
    value_range = f":out_range={'full' if full_range else 'limited'}"
    return f"scale=w={size[0]}:h={size[1]}:flags=bicubic{_AS_HDR if stream.hdr else value_range + matrix},setsar=1"


def deinterlace_filters(stream: VideoStream) -> list[str]:
    """Make whole frames of interlaced ones. Progressive frames pass unchanged, at no cost."""
    is_large_enough = stream.coded_height >= 4 and stream.coded_width >= 4  # for bwdif
    return ["bwdif=mode=send_frame:deint=interlaced"] if is_large_enough else []


def drop_frames_filters(rate: float) -> list[str]:
    """Drop frames that a steady rate does not need. The encoder repeats those that are missing, one by one.

    Not the filter fps: it makes all copies of a frame at once, so that a long gap in the timestamps fills the memory.
    """
    return [f"select='isnan(prev_selected_t)+gt(round(t*{rate:g}),round(prev_selected_t*{rate:g}))'"]


def tone_map_filters(stream: VideoStream, *, full_range: bool = False) -> list[str]:
    """Convert HDR to the standard range; [] for what is not HDR. It is slow, so it comes after scaling.

    zscale refuses odd sizes with subsampled colour, hence 4:4:4 before and after.
    """
    if not stream.hdr:
        return []
    transfer = _TRANSFER[stream.hdr]
    return [
        "format=yuv444p12",
        f"zscale=tin={transfer}:min=bt2020nc:pin=bt2020:rin=limited:t=linear:npl=100",
        "format=gbrpf32",
        "zscale=p=bt709",
        "tonemap=tonemap=hable:desat=0",
        f"zscale=t=bt709:m=bt709:p=bt709:r={'full' if full_range else 'limited'}",
        "format=yuv444p",
    ]
