"""The demuxers of ffmpeg: which ones may read uploaded files, and which facts of a file some of them do not report.

No demuxer in ALLOWED opens any file except the one that it is given. Left out on purpose:

- playlists and lists of files: hls, dash, concat, imf, sdp
- those that expand file names: image2
- those that look for a second file beside the first: vobsub, mlv, avisynth
- those that run a program or draw text: lavfi, svg, tty
- raw ones, which accept any bytes as media: rawvideo, data, s16le
"""

_VIDEO = """
    mov matroska avi mpegts mpeg mpegvideo asf flv live_flv ogg mxf gxf dv ivf yuv4mpegpipe rm nut wtv
    h264 hevc vvc m4v obu av1 mjpeg
"""
_AUDIO = """
    mp3 aac loas ac3 eac3 dts dtshd truehd mlp flac wav w64 aiff caf au voc amr amrnb amrwb wv tta ape mpc mpc8 tak
    dsf iff
"""
_IMAGE = """
    png_pipe apng jpeg_pipe gif gif_pipe webp_pipe webp_anim bmp_pipe tiff_pipe jpegxl_pipe jpegxl_anim j2k_pipe
"""
_SUBTITLES = "srt webvtt ass"

ALLOWED = tuple(f"{_VIDEO} {_AUDIO} {_IMAGE} {_SUBTITLES}".split())
# Of files that an operation has written itself: it reads any text as tags.
OWN = frozenset({"ffmetadata"})
STILL_IMAGES = frozenset(_IMAGE.split()) - {"gif", "apng", "webp_anim", "jpegxl_anim"}

# Limits of what they may read.
MAX_STREAMS = 32
MAX_PIXELS = 110_000_000  # of a frame: allows photographs of 100 megapixels and film in 12K

# Seeking finds the time but not the key frame before it: there is no picture until the next key frame.
SEEKS_PAST_KEY_FRAMES = frozenset({"mpegts", "mpeg", "rm"})
# ffmpeg counts times from the beginning of those streams that are read, not from that of the file: see
# `count_from_file`.
COUNTS_FROM_USED = frozenset({"mpegts", "mpeg", "ogg", "live_flv"})
# The file has no timestamps, so that seeking finds nothing.
WITHOUT_TIMESTAMPS = frozenset({"h264", "hevc", "m4v", "mjpeg", "mpegvideo", "obu", "swf", "vvc"})
# The file does not say how long it is. ffmpeg estimates the duration from the bit rate, or from timestamps that may
# start again in the middle.
WITHOUT_DURATION = WITHOUT_TIMESTAMPS | {
    "aac", "ac3", "dts", "dtshd", "eac3", "live_flv", "loas", "mlp", "mp3", "mpeg", "mpegts", "truehd",
}  # fmt: skip
# The estimate is wrong by far.
WRONG_DURATION = frozenset({"mpegvideo"})
