"""Which demuxers of ffmpeg may read what people send. None of these opens another file than the one it is given.

Left out on purpose: playlists and lists (hls, dash, concat, imf, sdp), what expands file names (image2), what looks
for a second file beside the first (vobsub, mlv, avisynth), what runs a program or draws text (lavfi, svg, tty), and
raw ones that take any bytes for media (rawvideo, data, s16le).
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

IMAGES = frozenset(_IMAGE.split())
ALLOWED = tuple(f"{_VIDEO} {_AUDIO} {_IMAGE} {_SUBTITLES}".split())

MAX_STREAMS = 32
MAX_PIXELS = 110_000_000  # a frame's: photographs of 100 megapixels pass, and so does film in 12K

# The exit code of the process that probes, when it says on stdout why, in words of ours.
REFUSED = 3
# And when it could not confine itself to the file, which is no fault of the file's.
UNCONFINED = 4
