"""The table of formats with magic bytes, one row each. The first row that matches wins."""

from typing import NamedTuple

from .codecs import (
    is_animated,
    is_ape,
    is_au,
    is_av1,
    is_bmp,
    is_dts,
    is_flac,
    is_h264,
    is_h265,
    is_jpeg,
    is_jxl,
    is_mpeg_sequence,
    is_musepack7,
    is_tiff,
    is_tta,
    is_wavpack,
)
from .containers import (
    has_brands,
    has_stream,
    is_brand,
    is_doc,
    is_dv,
    is_flv,
    is_movie_without_ftyp,
    is_mp4_sound,
    is_mxf,
    is_program_stream,
)
from .signature_checks import Check, always, contains, starts_with


class Row(NamedTuple):
    format: str  # for people
    name: str  # of the media type
    magic: bytes
    offset: int = 0
    check: Check = always


_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_ASF_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_WTV = bytes.fromhex("b7d800203749da11a64e0007e95ead8d")
_WAVES = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_OGG_VIDEO = (b"\x80theora", b"BBCD\0", b"OVP80", b"\x01video\0")
_OGG_SOUND = (
    *(b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"fLaC", b"Speex   ", b"CELT    "),
    *(b"PCM     ", b"\x01audio\0"),
)
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0"

MAGIC: tuple[Row, ...] = (
    Row("HEIF images, HEVC", "image/heic", b"ftyphei", 4, has_brands),
    Row("HEIF sequence, HEVC", "image/heic", b"ftyphev", 4, has_brands),
    Row("AVIF", "image/avif", b"ftypavi", 4, has_brands),
    Row("AVIF with a HEIF brand first", "image/avif", b"ftypmi", 4, is_brand(b"avif")),
    Row("HEIC with a HEIF brand first", "image/heic", b"ftypmi", 4, is_brand(b"heic")),
    Row("HEIF of another codec", "image/heif", b"ftypmif1", 4, has_brands),
    Row("HEIF sequence, HEVC", "image/heic", b"ftypmsf1", 4, is_brand(b"hevc")),
    Row("AVIF sequence", "image/avif", b"ftypmsf1", 4, is_brand(b"avis")),
    Row("HEIF sequence of another codec", "image/heif", b"ftypmsf1", 4, has_brands),
    Row("iTunes song", "audio/mp4", b"ftypM4A", 4, has_brands),
    Row("iTunes audio book", "audio/mp4", b"ftypM4B", 4, has_brands),
    Row("iTunes protected song", "audio/mp4", b"ftypM4P", 4, has_brands),
    Row("Flash MP4, audio", "audio/mp4", b"ftypF4A", 4, has_brands),
    Row("Flash MP4, book", "audio/mp4", b"ftypF4B", 4, has_brands),
    Row("3GPP2", "video/3gpp2", b"ftyp3g2", 4, has_brands),
    Row("3GPP", "video/3gpp", b"ftyp3g", 4, has_brands),
    Row("QuickTime", "video/quicktime", b"ftypqt  ", 4, has_brands),
    Row("MP4 audio only", "audio/mp4", b"ftyp", 4, is_mp4_sound),
    Row("iTunes video", "video/x-m4v", b"ftypM4V", 4, has_brands),
    Row("Flash MP4", "video/x-f4v", b"ftypF4V", 4, has_brands),
    Row("Flash MP4 as ffmpeg writes it", "video/x-f4v", b"ftypf4v", 4, has_brands),
    Row("MP4: isom, mp42, avc1, dash, XAVC …", "video/mp4", b"ftyp", 4, has_brands),
    Row("QuickTime without ftyp", "video/quicktime", b"", 0, is_movie_without_ftyp),
    Row("Matroska audio only", "audio/x-matroska", b"\x1aE\xdf\xa3", 0, is_doc(b"matroska", True)),
    Row("Matroska", "video/x-matroska", b"\x1aE\xdf\xa3", 0, is_doc(b"matroska")),
    Row("WebM audio only", "audio/webm", b"\x1aE\xdf\xa3", 0, is_doc(b"webm", True)),
    Row("WebM", "video/webm", b"\x1aE\xdf\xa3", 0, is_doc(b"webm")),
    Row("Ogg with video", "video/ogg", b"OggS", 0, has_stream(*_OGG_VIDEO)),
    Row("Ogg audio only", "audio/ogg", b"OggS", 0, has_stream(*_OGG_SOUND)),
    Row("ASF with a video stream", "video/x-ms-wmv", _ASF, 0, contains(_ASF_VIDEO)),
    Row("ASF audio only", "audio/x-ms-wma", _ASF, 0, contains(_ASF_AUDIO)),
    Row("ASF, streams listed after the first bytes", "video/x-ms-asf", _ASF),
    Row("Windows recorded TV", "video/x-ms-wtv", _WTV),
    Row("AVI", "video/x-msvideo", b"AVI ", 8, starts_with(b"RIFF")),
    Row("WAV, big-endian WAV, and those for more than 4 GB", "audio/wav", b"WAVE", 8, starts_with(*_WAVES)),
    Row("WebP", "image/webp", b"WEBPVP8", 8, starts_with(b"RIFF")),
    Row("Sony Wave64", "audio/x-w64", b"wave", 24, starts_with(_W64)),
    Row("AIFF", "audio/aiff", b"AIFF", 8, starts_with(b"FORM")),
    Row("AIFC", "audio/aiff", b"AIFC", 8, starts_with(b"FORM")),
    Row("DSDIFF", "audio/x-dff", b"DSD ", 12, starts_with(b"FRM8")),
    Row("DSF", "audio/x-dsf", b"DSD \x1c\0\0\0\0\0\0\0"),
    Row("Core Audio", "audio/x-caf", b"caff\0\1\0\0desc"),
    Row("Sun, NeXT", "audio/basic", b".snd", 0, is_au),
    Row("Creative Voice", "audio/x-voc", b"Creative Voice File\x1a"),
    Row("Flash", "video/x-flv", b"FLV\1", 0, is_flv),
    Row("RealMedia", "application/vnd.rn-realmedia", b".RMF\0\0\0"),
    Row("RealAudio", "audio/x-pn-realaudio", b".ra\xfd"),
    Row("NUT", "video/x-nut", b"nut/multimedia container\0"),
    Row("IVF", "video/x-ivf", b"DKIF\0\0\x20\0"),
    Row("GXF", "video/x-gxf", b"\0\0\0\0\xe1\xe2", 10, starts_with(b"\0\0\0\0\1\xbc")),
    Row("DV", "video/dv", b"\x1f\x07\0", 0, is_dv),
    Row("FLAC", "audio/flac", b"fLaC", 0, is_flac),
    Row("AMR", "audio/amr", b"#!AMR\n"),
    Row("AMR wide band", "audio/amr-wb", b"#!AMR-WB\n"),
    Row("WavPack", "audio/x-wavpack", b"wvpk", 0, is_wavpack),
    Row("Monkey's Audio", "audio/x-ape", b"MAC ", 0, is_ape),
    Row("True Audio", "audio/x-tta", b"TTA1", 0, is_tta),
    Row("TAK", "audio/x-tak", b"tBaK\1"),
    Row("Musepack 7", "audio/x-musepack", b"MP+", 0, is_musepack7),
    Row("Musepack 8", "audio/x-musepack", b"MPCKSH"),
    Row("DTS, 16 bits", "audio/vnd.dts", b"\x7f\xfe\x80\x01", 0, is_dts),
    Row("DTS, 16 bits, swapped", "audio/vnd.dts", b"\xfe\x7f\x01\x80", 0, is_dts),
    Row("DTS, 14 bits", "audio/vnd.dts", b"\x1f\xff\xe8\0", 0, is_dts),
    Row("DTS, 14 bits, swapped", "audio/vnd.dts", b"\xff\x1f\0\xe8", 0, is_dts),
    Row("DTS-HD", "audio/vnd.dts.hd", b"DTSHDHDR"),
    Row("TrueHD", "audio/vnd.dolby.mlp", b"\xf8\x72\x6f\xba", 4),
    Row("MLP", "audio/vnd.dolby.mlp", b"\xf8\x72\x6f\xbb", 4),
    Row("JPEG", "image/jpeg", b"\xff\xd8\xff", 0, is_jpeg),
    Row("APNG", "image/apng", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 0, is_animated),
    Row("PNG", "image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    Row("GIF", "image/gif", b"GIF87a"),
    Row("GIF", "image/gif", b"GIF89a"),
    Row("BMP", "image/bmp", b"BM", 0, is_bmp),
    Row("TIFF", "image/tiff", b"II*\0", 0, is_tiff),
    Row("TIFF of big-endian machines", "image/tiff", b"MM\0*", 0, is_tiff),
    Row("BigTIFF", "image/tiff", b"II+\0\x08\0\0\0"),
    Row("BigTIFF of big-endian machines", "image/tiff", b"MM\0+\0\x08\0\0"),
    Row("JPEG XL in boxes", "image/jxl", b"\0\0\0\x0cJXL \r\n\x87\n"),
    Row("JPEG XL, no container", "image/jxl", b"\xff\x0a", 0, is_jxl),
    Row("Motion JPEG 2000", "video/mj2", b"ftypmjp2", 16, starts_with(_JP2)),
    Row("JPEG 2000", "image/jp2", b"ftypjp", 16, starts_with(_JP2)),
    Row("JPEG 2000, no container", "image/j2c", b"\xff\x4f\xff\x51\0"),
    Row("MPEG program stream, VOB", "video/mpeg", b"\0\0\1\xba", 0, is_program_stream),
    Row("MPEG-1 and MPEG-2 video, no container", "video/mpeg", b"\0\0\1\xb3", 0, is_mpeg_sequence),
    Row("MPEG-4 part 2 video, no container", "video/mp4v-es", b"\0\0\1\xb5", 5, starts_with(b"\0\0\1\xb0")),
    Row("AV1, bare (section 5)", "video/av1", b"\x12\0\x0a", 0, is_av1),
    Row("H.264, no container", "video/h264", b"\0\0\1", 0, is_h264),
    Row("H.264, no container, four bytes of start code", "video/h264", b"\0\0\0\1", 0, is_h264),
    Row("H.265, no container", "video/h265", b"\0\0\1", 0, is_h265),
    Row("H.265, no container, start code of four bytes", "video/h265", b"\0\0\0\1", 0, is_h265),
    Row("MXF, also after a run-in of up to 64 KB", "application/mxf", b"", 0, is_mxf),
)
