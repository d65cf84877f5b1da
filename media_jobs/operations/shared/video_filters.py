"""What every operation that makes pictures must know of ffmpeg's filters.

ffmpeg turns a picture upright before our first filter, so sizes here are those of the picture as shown.
"""

from ...ffmpeg.probing.media_facts import VideoStream

LARGEST_SIDE = 16383  # of a WebP; JPEG and H.264 can do a little more

# The matrix is named on both sides: an HDR file that does not name its own would be read as standard definition.
_AS_HDR = ":in_color_matrix=bt2020:out_color_matrix=bt2020:out_range=limited"
_TRANSFER = {"pq": "smpte2084", "hlg": "arib-std-b67"}


def fitted(stream: VideoStream, *, width: int | None = None, height: int | None = None) -> tuple[int, int]:
    """The size that keeps the picture's shape within these bounds. A smaller picture is not enlarged."""
    ratio = min(
        1.0,
        (width or stream.width) / stream.width,
        (height or stream.height) / stream.height,
        LARGEST_SIDE / max(stream.width, stream.height),
    )
    return max(1, round(stream.width * ratio)), max(1, round(stream.height * ratio))


def even(size: tuple[int, int]) -> tuple[int, int]:
    """Colour is kept for squares of four pixels, so codecs want whole squares: the nearest, and never one more."""
    return max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2)


def scaled(stream: VideoStream, size: tuple[int, int], *, full_range: bool = False) -> str:
    """To this size, with square pixels. Pictures use the full range of values, videos the limited one."""
    spread = f":out_range={'full' if full_range else 'limited'}"
    return f"scale=w={size[0]}:h={size[1]}:flags=bicubic{_AS_HDR if stream.hdr else spread},setsar=1"


def progressive(stream: VideoStream) -> list[str]:
    """Whole frames of those that come as two halves, as television sends them. It lets others pass, at no cost."""
    can_be = stream.coded_height >= 4 and stream.coded_width >= 4  # bwdif takes no less
    return ["bwdif=mode=send_frame:deint=interlaced"] if can_be else []


def thinned(rate: float) -> list[str]:
    """No more frames than a steady rate needs. Those that it lacks are for the encoder to repeat, one by one.

    The filter fps makes all copies of a frame at once: what a long gap in the timestamps asks for fills the memory.
    """
    return [f"select='isnan(prev_selected_t)+gt(round(t*{rate:g}),round(prev_selected_t*{rate:g}))'"]


def standard_range(stream: VideoStream, *, full_range: bool = False) -> list[str]:
    """HDR as an ordinary screen shows it. Costly, so it comes after scaling; nothing for what is not HDR.

    zscale refuses odd sizes of pictures with less colour than light, hence 4:4:4 before and after.
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
