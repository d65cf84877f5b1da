"""Media to try things on: real clips made by ffmpeg, beginnings built by hand where it cannot write a format,
and what must be refused.
"""

import gzip
import io
import os
import random
import sqlite3
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import imageio_ffmpeg


@dataclass(frozen=True, slots=True)
class Real:
    """A clip that ffmpeg makes from a test picture and a tone: what to keep of them, and as what."""

    name: str
    media: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Built:
    """A beginning built by hand, for what this ffmpeg cannot write."""

    name: str
    media: str
    content: bytes


V = "-map 0:v "
A = "-map 1:a "
VA = "-map 0:v -map 1:a "
MP4 = "-c:v libx264 -preset ultrafast -c:a aac "

REAL: tuple[Real, ...] = (
    Real("mp4", "video/mp4", VA + MP4 + "-f mp4"),
    Real("mp4 faststart", "video/mp4", VA + MP4 + "-movflags +faststart -f mp4"),
    Real("mp4 fragmented", "video/mp4", VA + MP4 + "-movflags +frag_keyframe+empty_moov -f mp4"),
    Real("mp4 sound only, faststart", "audio/mp4", A + "-c:a aac -movflags +faststart -f mp4"),
    Real("mp4 av1", "video/mp4", V + "-c:v libsvtav1 -preset 12 -f mp4"),
    Real("mov", "video/quicktime", VA + "-c:v mpeg4 -c:a pcm_s16le -f mov"),
    Real("mov prores", "video/quicktime", V + "-c:v prores_ks -f mov"),
    Real("m4a", "audio/mp4", A + "-c:a aac -f ipod"),
    Real("m4a alac", "audio/mp4", A + "-c:a alac -f ipod"),
    Real("m4v", "video/x-m4v", VA + MP4 + "-f ipod"),
    Real("3gp", "video/3gpp", VA + MP4 + "-f 3gp"),
    Real("3g2", "video/3gpp2", VA + MP4 + "-f 3g2"),
    Real("f4v", "video/x-f4v", VA + MP4 + "-f f4v"),
    Real("avif", "image/avif", V + "-frames:v 1 -c:v libaom-av1 -cpu-used 8 -f avif"),
    Real("mkv", "video/x-matroska", VA + MP4 + "-f matroska"),
    Real("mka", "audio/x-matroska", A + "-c:a libopus -f matroska"),
    Real("webm", "video/webm", VA + "-c:v libvpx -deadline realtime -c:a libopus -f webm"),
    Real("webm sound only", "audio/webm", A + "-c:a libopus -f webm"),
    Real("avi", "video/x-msvideo", VA + "-c:v mpeg4 -c:a libmp3lame -f avi"),
    Real("wav", "audio/wav", A + "-c:a pcm_s16le -f wav"),
    Real("rf64", "audio/wav", A + "-c:a pcm_s24le -rf64 always -f wav"),
    Real("w64", "audio/x-w64", A + "-f w64"),
    Real("aiff", "audio/aiff", A + "-f aiff"),
    Real("aifc", "audio/aiff", A + "-c:a pcm_s16le -f aiff"),
    Real("caf", "audio/x-caf", A + "-f caf"),
    Real("au", "audio/basic", A + "-f au"),
    Real("voc", "audio/x-voc", A + "-c:a pcm_u8 -f voc"),
    Real("wmv", "video/x-ms-wmv", VA + "-c:v wmv2 -c:a wmav2 -f asf"),
    Real("wma", "audio/x-ms-wma", A + "-c:a wmav2 -f asf"),
    Real("wtv", "video/x-ms-wtv", VA + "-c:v mpeg2video -c:a mp2 -f wtv"),
    Real("flv", "video/x-flv", VA + "-c:v flv1 -c:a libmp3lame -f flv"),
    Real("ogg theora", "video/ogg", VA + "-c:v libtheora -c:a libvorbis -f ogg"),
    Real("ogg vorbis", "audio/ogg", A + "-c:a libvorbis -f ogg"),
    Real("ogg opus", "audio/ogg", A + "-c:a libopus -f opus"),
    Real("ogg flac", "audio/ogg", A + "-c:a flac -f ogg"),
    Real("mp3", "audio/mpeg", A + "-c:a libmp3lame -f mp3"),
    Real("mp3 bare", "audio/mpeg", A + "-c:a libmp3lame -write_xing 0 -id3v2_version 0 -f mp3"),
    Real("mp3 variable rate", "audio/mpeg", A + "-c:a libmp3lame -q:a 4 -id3v2_version 0 -f mp3"),
    Real("mp3 16 kHz", "audio/mpeg", A + "-c:a libmp3lame -ar 16000 -write_xing 0 -id3v2_version 0 -f mp3"),
    Real("mp3 8 kHz", "audio/mpeg", A + "-c:a libmp3lame -ar 8000 -write_xing 0 -id3v2_version 0 -f mp3"),
    Real("mp2", "audio/mpeg", A + "-c:a mp2 -f mp2"),
    Real("aac", "audio/aac", A + "-c:a aac -f adts"),
    Real("latm", "audio/mp4a-latm", A + "-c:a aac -f latm"),
    Real("ac3", "audio/ac3", A + "-c:a ac3 -f ac3"),
    Real("ac3 44.1 kHz", "audio/ac3", A + "-ar 44100 -c:a ac3 -f ac3"),
    Real("eac3", "audio/eac3", A + "-c:a eac3 -f eac3"),
    Real("dts", "audio/vnd.dts", A + "-ac 2 -ar 48000 -c:a dca -strict -2 -f dts"),
    Real("truehd", "audio/vnd.dolby.mlp", A + "-c:a truehd -strict -2 -f truehd"),
    Real("mlp", "audio/vnd.dolby.mlp", A + "-c:a mlp -strict -2 -f mlp"),
    Real("flac", "audio/flac", A + "-f flac"),
    Real("amr", "audio/amr", A + "-ar 8000 -ac 1 -c:a libopencore_amrnb -f amr"),
    Real("wavpack", "audio/x-wavpack", A + "-c:a wavpack -f wv"),
    Real("tta", "audio/x-tta", A + "-c:a tta -f tta"),
    Real("ts", "video/mp2t", VA + MP4 + "-f mpegts"),
    Real("ts sound only", "video/mp2t", A + "-c:a aac -f mpegts"),
    Real("m2ts", "video/mp2t", VA + MP4 + "-mpegts_m2ts_mode 1 -f mpegts"),
    Real("mpeg", "video/mpeg", VA + "-r 25 -c:v mpeg1video -c:a mp2 -f mpeg"),
    Real("vcd", "video/mpeg", VA + "-target pal-vcd"),
    Real("vob", "video/mpeg", VA + "-r 25 -c:v mpeg2video -c:a ac3 -f vob"),
    Real("dvd", "video/mpeg", VA + "-target pal-dvd"),
    Real("m1v", "video/mpeg", V + "-r 25 -c:v mpeg1video -f mpeg1video"),
    Real("m2v", "video/mpeg", V + "-r 25 -c:v mpeg2video -f mpeg2video"),
    Real("h264", "video/h264", V + "-c:v libx264 -preset ultrafast -f h264"),
    Real("h264 with delimiters", "video/h264", V + "-c:v libx264 -x264-params aud=1 -f h264"),
    Real("h264 10 bits 4:2:2", "video/h264", V + "-c:v libx264 -pix_fmt yuv422p10 -f h264"),
    Real("h265", "video/h265", V + "-c:v libx265 -preset ultrafast -x265-params log-level=none -f hevc"),
    Real("h265 with delimiters", "video/h265", V + "-c:v libx265 -x265-params aud=1:log-level=none -f hevc"),
    Real("mpeg4 bare", "video/mp4v-es", V + "-c:v mpeg4 -bsf:v dump_extra -f m4v"),
    Real("av1 bare", "video/av1", V + "-c:v libsvtav1 -preset 12 -f obu"),
    Real("mxf", "application/mxf", VA + "-r 25 -c:v mpeg2video -c:a pcm_s16le -f mxf"),
    Real(
        "mxf opatom",
        "application/mxf",
        V + "-s hd720 -r 50 -b:v 120M -pix_fmt yuv422p -c:v dnxhd -f mxf_opatom",
    ),
    Real("gxf", "video/x-gxf", V + "-s 720x576 -r 25 -c:v mpeg2video -f gxf"),
    Real("dv pal", "video/dv", VA + "-target pal-dv"),
    Real("dv ntsc", "video/dv", VA + "-target ntsc-dv"),
    Real("dvcpro50", "video/dv", V + "-s 720x576 -r 25 -pix_fmt yuv422p -c:v dvvideo -f dv"),
    Real("ivf", "video/x-ivf", V + "-c:v libvpx -deadline realtime -f ivf"),
    Real("y4m", "video/x-yuv4mpeg", V + "-pix_fmt yuv420p -f yuv4mpegpipe"),
    Real("realmedia", "application/vnd.rn-realmedia", VA + "-s 176x144 -c:v rv10 -c:a ac3 -f rm"),
    Real("nut", "video/x-nut", VA + "-c:v mpeg4 -c:a mp2 -f nut"),
    Real("jpeg", "image/jpeg", V + "-frames:v 1 -c:v mjpeg -f image2pipe"),
    Real("png", "image/png", V + "-frames:v 1 -c:v png -f image2pipe"),
    Real("apng", "image/apng", V + "-f apng"),
    Real("gif", "image/gif", V + "-f gif"),
    Real("webp", "image/webp", V + "-frames:v 1 -c:v libwebp -f webp"),
    Real("webp animated", "image/webp", V + "-c:v libwebp_anim -f webp"),
    Real("bmp", "image/bmp", V + "-frames:v 1 -c:v bmp -f image2pipe"),
    Real("tiff", "image/tiff", V + "-frames:v 1 -c:v tiff -f image2pipe"),
    Real("jxl", "image/jxl", V + "-frames:v 1 -c:v libjxl -f image2pipe"),
    Real("jpeg 2000", "image/jp2", V + "-frames:v 1 -c:v jpeg2000 -format jp2 -f image2pipe"),
    Real("jpeg 2000 bare", "image/j2c", V + "-frames:v 1 -c:v jpeg2000 -format j2k -f image2pipe"),
)

_FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()  # its name holds its version
_SOURCES = (
    "-f lavfi -i testsrc=size=320x240:rate=25:duration=0.4 "
    "-f lavfi -i aevalsrc=sin(880*PI*t)/2+random(0)/9|cos(660*PI*t)/2:s=48000:d=0.8"
)


def make(folder: Path) -> dict[str, Path]:
    """Every real clip by its name; those that the folder holds already are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        paths = pool.map(lambda clip: _clip(clip, folder), REAL)
        return {clip.name: path for clip, path in zip(REAL, paths, strict=True)}


def _clip(clip: Real, folder: Path) -> Path:
    recipe = sha256(f"{_FFMPEG} {_SOURCES} {clip.arguments}".encode()).hexdigest()[:12]
    path = folder / f"{clip.name.replace(' ', '-').replace('/', '-')}-{recipe}"
    if not path.exists():
        part = path.with_name(f"{path.name}.{os.getpid()}")  # several test processes may make the same one
        command = f"-v error -nostdin -y -threads 1 {_SOURCES} {clip.arguments} -threads 1".split()
        command = [_FFMPEG, *command, f"file:{part}"]
        made = subprocess.run(command, stderr=subprocess.PIPE)
        if made.returncode:
            raise RuntimeError(f"{clip.name}: {made.stderr.decode(errors='replace')}")
        part.rename(path)
    return path


# --- built by hand ---


def _box(kind: bytes, *contents: bytes) -> bytes:
    return struct.pack(">I", 8 + sum(map(len, contents))) + kind + b"".join(contents)


def _ftyp(*brands: bytes) -> bytes:
    return _box(b"ftyp", brands[0], bytes(4), *brands)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content


def _ogg(*streams: bytes) -> bytes:
    """One first page for each stream: magic, version, flag, position, serial, number, checksum, lengths."""
    return b"".join(
        b"OggS\0\2" + struct.pack("<QIII", 0, serial, 0, 0) + bytes([1, len(start)]) + start
        for serial, start in enumerate(streams)
    )


def _ebml(doc_type: bytes, before: bytes = b"") -> bytes:
    element = before + b"\x42\x82" + bytes([0x80 | len(doc_type)]) + doc_type
    return b"\x1aE\xdf\xa3" + bytes([0x80 | len(element)]) + element + b"\x18\x53\x80\x67\x01" + b"\xff" * 7


def _id3(size: int, flags: int = 0) -> bytes:
    return b"ID3\4\0" + bytes([flags]) + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(size)


def _noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


_PCM = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 48000, 192000, 4, 16)) + _chunk(b"data", _noise(4000))
_MVHD = _box(b"mvhd", bytes(100))
_MP3 = (b"\xff\xfb\x90\x64" + _noise(413)) * 20  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes a frame
_ADTS = (b"\xff\xf1\x50\x80\x2e\x7f\xfc" + _noise(364)) * 20  # AAC LC, 44.1 kHz: 371 bytes a frame
_NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184
_JXL_BOXES = b"\0\0\0\x0cJXL \r\n\x87\n" + _ftyp(b"jxl ")
_MXF_KEY = bytes.fromhex("060e2b34020501010d0102010102040083000078")  # and the length of its pack

_SRT = "1\n00:00:01,000 --> 00:00:02,500\nGrüße, <i>Welt</i>\n\n2\n00:00:03,000 --> 00:00:04,000\nТекст\n\n"
_LATIN = "1\n00:00:01,000 --> 00:00:02,500\nGrüße – Café\n\n"
_VTT = "WEBVTT - of a film\n\nNOTE by hand\n\nfirst\n00:01.000 --> 00:02.500 align:start\nGrüße\n\n"
_ASS = """[Script Info]
; by hand
Title: Grüße
ScriptType: v4.00+
PlayResX: 384

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,Grüße
"""
_SSA = _ASS.replace("v4.00+", "v4.00").replace("[V4+", "[V4").replace("Layer", "Marked")


def _subtitles() -> Iterator[Built]:
    kinds = (
        ("srt", "application/x-subrip", _SRT),
        ("webvtt", "text/vtt", _VTT),
        ("ass", "text/x-ass", _ASS),
        ("ssa", "text/x-ssa", _SSA),
    )
    for name, media, text in kinds:
        yield Built(name, media, text.encode())
        yield Built(f"{name} with CRLF", media, text.replace("\n", "\r\n").encode())
        yield Built(f"{name} with CR", media, text.replace("\n", "\r").encode())
        yield Built(f"{name} with BOM", media, text.encode("utf-8-sig"))
        yield Built(f"{name} in utf-16", media, b"\xff\xfe" + text.encode("utf-16-le"))
        yield Built(f"{name} in big-endian utf-16", media, b"\xfe\xff" + text.encode("utf-16-be"))
        yield Built(f"{name} longer than the head", media, (text + text.partition("\n")[2] * 900).encode())


BUILT: tuple[Built, ...] = (
    # ISO base media: size, "ftyp", major brand, minor version, compatible brands
    Built("heic", "image/heic", _ftyp(b"heic", b"mif1") + _box(b"meta", bytes(40))),
    Built("heic that says mif1", "image/heic", _ftyp(b"mif1", b"heic") + _box(b"meta", bytes(40))),
    Built("heic sequence", "image/heic", _ftyp(b"msf1", b"hevc") + _box(b"moov", _MVHD)),
    Built("heic sequence of its own brand", "image/heic", _ftyp(b"hevc", b"msf1") + _box(b"moov", _MVHD)),
    Built("heif sequence", "image/heif", _ftyp(b"msf1", b"avcs") + _box(b"moov", _MVHD)),
    Built("avif sequence that says msf1", "image/avif", _ftyp(b"msf1", b"avis") + _box(b"moov", _MVHD)),
    Built("audio book", "audio/mp4", _ftyp(b"M4B ", b"mp42") + _box(b"mdat", _noise(90000))),
    Built("protected song", "audio/mp4", _ftyp(b"M4P ", b"mp42") + _box(b"mdat", _noise(90000))),
    Built("f4a", "audio/mp4", _ftyp(b"F4A ", b"mp42") + _box(b"mdat", _noise(90000))),
    Built("f4b", "audio/mp4", _ftyp(b"F4B ", b"mp42") + _box(b"mdat", _noise(90000))),
    Built("f4v by adobe", "video/x-f4v", _ftyp(b"F4V ", b"mp42") + _box(b"mdat", _noise(90000))),
    Built("heif", "image/heif", _ftyp(b"mif1", b"unci") + _box(b"meta", bytes(40))),
    Built("avif that says mif1", "image/avif", _ftyp(b"mif1", b"avif", b"miaf") + _box(b"meta", bytes(40))),
    Built("avif sequence", "image/avif", _ftyp(b"avis", b"msf1") + _box(b"moov", _MVHD)),
    Built("xavc", "video/mp4", _ftyp(b"XAVC", b"mp42") + _box(b"mdat", _noise(90000))),
    # A 64-bit mdat: size 1, type, then the size
    Built(
        "mov that begins with mdat",
        "video/quicktime",
        b"\0\0\0\1mdat" + struct.pack(">Q", 1 << 33) + _noise(70000),
    ),
    Built("mov that begins with wide", "video/quicktime", _box(b"wide") + _box(b"mdat", _noise(100000))),
    Built("mov that begins with free", "video/quicktime", _box(b"free", bytes(64)) + _box(b"moov", _MVHD)),
    Built("mov that begins with skip", "video/quicktime", _box(b"skip", bytes(64)) + _box(b"mdat", _noise(50))),
    Built("mov that begins with moov", "video/quicktime", _box(b"moov", _MVHD) + _box(b"mdat", _noise(50))),
    # EBML: the header's size, elements of id, size and value; a void one first, and a DocType with padding
    Built("mkv with a void first", "video/x-matroska", _ebml(b"matroska", b"\xec\x84" + bytes(4))),
    Built("webm with padding", "video/webm", _ebml(b"webm\0\0\0\0", b"\x42\x86\x81\1")),
    Built("rifx", "audio/wav", b"RIFX\0\0\0\x24WAVEfmt \0\0\0\x10" + bytes(24)),
    Built("bw64", "audio/wav", b"BW64\xff\xff\xff\xffWAVE" + _chunk(b"ds64", bytes(28)) + _PCM),
    Built("wav with a bext first", "audio/wav", b"RIFF\0\x20\0\0WAVE" + _chunk(b"bext", bytes(602)) + _PCM),
    # Ogg first pages: the packets with which each codec introduces itself
    Built("ogg speex", "audio/ogg", _ogg(b"Speex   1.2rc1" + bytes(66))),
    Built(
        "ogg with skeleton",
        "video/ogg",
        _ogg(b"fishead\0" + bytes(56), b"\x01vorbis" + bytes(23), b"\x80theora" + bytes(35)),
    ),
    Built("ogg dirac", "video/ogg", _ogg(b"BBCD\0" + bytes(20))),
    Built(
        "asf without a stream so far",
        "video/x-ms-asf",
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + _noise(9000),
    ),
    # MP3 behind tags: ID3, version, flags, size in four times seven bits
    Built("mp3 with a small tag", "audio/mpeg", _id3(300) + _MP3),
    Built(
        "mp3 with two tags, a footer and padding",
        "audio/mpeg",
        _id3(300) + _id3(20, 0x10) + bytes(10) + bytes(99) + _MP3,
    ),
    Built("mp3 with a large cover", "audio/mpeg", _id3(200_000) + _MP3),
    Built("mp3 with a cover that nearly fills the head", "audio/mpeg", _id3(65_200) + _MP3),
    Built("mp3 cut in the middle of a frame", "audio/mpeg", _MP3[100:]),
    Built("aac cut in the middle of a frame", "audio/aac", _ADTS[100:]),
    Built("aac with a tag", "audio/aac", _id3(63) + _ADTS),
    Built("flac with a tag", "audio/flac", _id3(63) + b"fLaC\0\0\0\x22" + _noise(2000)),
    Built("amr wide band", "audio/amr-wb", b"#!AMR-WB\n" + _noise(200)),
    # DTS in the other byte order and in 14-bit words: sync word, then frames of 1024 bytes
    Built("dts swapped", "audio/vnd.dts", (b"\xfe\x7f\x01\x80" + _noise(1020)) * 3),
    Built("dts 14 bits", "audio/vnd.dts", (b"\x1f\xff\xe8\0" + _noise(1020)) * 3),
    Built("dts 14 bits swapped", "audio/vnd.dts", (b"\xff\x1f\0\xe8" + _noise(1020)) * 3),
    Built("dts-hd", "audio/vnd.dts.hd", b"DTSHDHDR" + bytes(8) + _noise(100)),
    # "MAC ", version 3.99 times 1000; "MP+", version 7; "MPCK", stream header packet
    Built("ape", "audio/x-ape", b"MAC " + struct.pack("<HH", 3990, 0) + _noise(100)),
    Built("musepack 7", "audio/x-musepack", b"MP+\x17" + _noise(100)),
    Built("musepack 8", "audio/x-musepack", b"MPCKSH\x0f" + _noise(100)),
    Built("tak", "audio/x-tak", b"tBaK\1\x0d\0\0" + _noise(100)),
    # DSF: chunk of 28 bytes, sizes; DFF: a FORM with 64-bit size
    Built("dsf", "audio/x-dsf", b"DSD " + struct.pack("<QQQ", 28, 4096, 0) + b"fmt " + bytes(48)),
    Built("dff", "audio/x-dff", b"FRM8" + struct.pack(">Q", 4096) + b"DSD FVER" + bytes(48)),
    # Packets of 188 bytes, with 16 of Reed-Solomon code each; and cut in the middle of one
    Built("ts of 204 bytes", "video/mp2t", (_NULL_PACKET + _noise(16)) * 12),
    Built("ts cut in the middle of a packet", "video/mp2t", (_NULL_PACKET * 12)[70:]),
    Built("mxf behind a run-in", "application/mxf", _noise(30_000) + _MXF_KEY + bytes(200)),
    Built(
        "y4m of one flat red",
        "video/x-yuv4mpeg",
        b"YUV4MPEG2 W4 H4 F25:1\nFRAME\n" + b"Q" * 16 + b"ZZZZ" + b"\xf0" * 4,
    ),
    Built("realaudio", "audio/x-pn-realaudio", b".ra\xfd\0\4\0\0.ra4" + bytes(60)),
    Built("flv without flags", "video/x-flv", b"FLV\1\0\0\0\0\x09\0\0\0\0" + _noise(99)),
    # TIFF: byte order, 42 (43 in BigTIFF), where the first directory is
    Built("tiff big-endian", "image/tiff", b"MM\0*\0\0\0\x08" + bytes(40)),
    Built("bigtiff", "image/tiff", b"II+\0\x08\0\0\0\x10" + bytes(40)),
    Built("bigtiff big-endian", "image/tiff", b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10" + bytes(40)),
    Built("gif of 1987", "image/gif", b"GIF87a\x10\0\x10\0\x80\0\0" + bytes(40)),
    # Annex B with the short start code: SPS (type, profile, flags, level), PPS; VPS (with its ones), SPS, PPS
    Built("h264 with short start codes", "video/h264", b"\0\0\1\x67\x42\xc0\x1e\xda\0\0\1\x68\xce\0\0\1\x65\x88"),
    Built(
        "h265 with short start codes",
        "video/h265",
        b"\0\0\1\x40\1\x0c\1\xff\xff\1\x60\0\0\1\x42\1\1\1\x60\0\0\1\x44\1\xc1\x73\0\0\1\x26\1",
    ),
    Built("jpeg xl in boxes", "image/jxl", _JXL_BOXES + _box(b"jxlc", b"\xff\x0a" + _noise(99))),
    Built("motion jpeg 2000", "video/mj2", b"\0\0\0\x0cjP  \r\n\x87\n" + _ftyp(b"mjp2")),
    Built(
        "bmp of os/2",
        "image/bmp",
        b"BM" + struct.pack("<IHHIIHHHH", 200, 0, 0, 26, 12, 9, 9, 1, 24) + bytes(174),
    ),
    *_subtitles(),
    Built("srt in latin-1", "application/x-subrip", _LATIN.encode("cp1252")),
    Built("srt after blank lines", "application/x-subrip", b"\r\n\r\n" + _SRT.encode()),
    Built("srt cut in a character", "application/x-subrip", _SRT.encode()[: _SRT.encode().index(b"\xc3") + 1]),
    Built("srt cut in a utf-16 unit", "application/x-subrip", b"\xff\xfe" + _SRT.encode("utf-16-le")[:-9]),
    Built("webvtt with hours", "text/vtt", b"WEBVTT\n\n01:00:01.000 --> 01:00:02.000\nHello\n"),
    Built(
        "webvtt of hls",
        "text/vtt",
        b"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n00:01.000 --> 00:02.000\nHello\n",
    ),
    Built("webvtt without a cue", "text/vtt", b"WEBVTT\n"),
)


# --- what must be refused ---


def _zip() -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("movie.mp4", _ftyp(b"isom"))
    return memory.getvalue()


def _sqlite() -> bytes:
    with sqlite3.connect(":memory:") as database:
        database.execute("create table film (name text)")
        return database.serialize()


_M3U = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"
_PE = (
    b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0" + bytes(44) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0\x64\x86" + _noise(9000)
)
_ELF = b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\x3e\0" + _noise(9000)

REFUSED: tuple[tuple[str, bytes], ...] = (
    ("nothing", b""),
    ("one zero", b"\0"),
    ("zeros", bytes(65536)),
    ("ones", b"\xff" * 65536),
    ("the letter G", b"G" * 65536),
    ("the letter G, binary", b"G" * 65000 + bytes(536)),
    ("plain text", b"Dear all,\nthe film is ready.\n" * 50),
    ("plain text in utf-16", "Dear all,\nthe film is ready.\n".encode("utf-16")),
    ("html", b"<!DOCTYPE html><html><body>film</body></html>"),
    ("svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    ("xml", b'<?xml version="1.0"?><film/>'),
    ("ttml", b'<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"/>'),
    ("dash", b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
    ("hls", _M3U.encode()),
    ("hls behind a BOM", _M3U.encode("utf-8-sig")),
    ("hls in utf-16", _M3U.encode("utf-16")),
    ("hls behind blank lines", b"\r\n \n" + _M3U.encode()),
    ("hls, then mp3", _M3U.encode() + _MP3),
    ("hls, then a transport stream", b"#EXTM3U\n" + _NULL_PACKET * 30),
    ("hls behind a BOM, then a transport stream", b"\xef\xbb\xbf#EXTM3U\n" + _NULL_PACKET * 30),
    ("hls, then mxf", _M3U.encode() + b"\0" + _MXF_KEY + bytes(300)),
    ("hls, then subtitles", _M3U.encode() + _SRT.encode()),
    ("hls behind a tag", _id3(40) + _M3U.encode()),
    ("ffconcat", b"ffconcat version 1.0\nfile /etc/passwd\n"),
    ("ffconcat, then mxf", b"ffconcat version 1.0\nfile x\n\0" + _MXF_KEY + bytes(300)),
    ("concat without its first line", b"file '/etc/passwd'\n"),
    ("sdp", b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n"),
    ("zip", _zip()),
    ("zip, then mxf", _zip() + _MXF_KEY + bytes(300)),
    ("rar", b"Rar!\x1a\x07\1\0" + _noise(500)),
    ("7z", b"7z\xbc\xaf\x27\x1c\0\4" + _noise(500)),
    ("gzip", gzip.compress(b"film" * 100, mtime=0)),
    ("gzip of an mp4", gzip.compress(_ftyp(b"isom"), mtime=0)),
    ("pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + _noise(500)),
    ("elf", _ELF),
    ("elf, then mxf", _ELF + _MXF_KEY + bytes(300)),
    ("pe", _PE),
    ("pe, then a transport stream", _PE[:100] + _NULL_PACKET * 30),
    ("java class", b"\xca\xfe\xba\xbe\0\0\0\x37" + _noise(500)),
    ("sqlite", _sqlite()),
    ("python", b"import os\n\nos.remove('/')\n"),
    ("shell", b"#!/bin/sh\nrm -rf /\n"),
    ("shell with a binary payload", b"#!/bin/sh\nexit\n\0" + _NULL_PACKET * 30),
    ("json", b'{"streams": []}'),
    ("a text that mentions WEBVTT", b"How to write WEBVTT files\n\n00:01.000 --> 00:02.000\n"),
    ("a text that begins with WEBVTT", b"WEBVTT is a format for subtitles.\n\nIt is easy to write.\n"),
    ("a word that begins with WEBVTT", b"WEBVTTS\n\n00:01.000 --> 00:02.000\nHello\n"),
    ("a list with numbers", b"1\nfirst\n2\nsecond\n"),
    ("a time range without a cue number", b"From 00:00:01,000 --> 00:00:02,000\n"),
    ("an ini file that says script info", b"[Script Info]\nauthor = me\n"),
    ("text that begins like a gif", b"GIF89a/*" + b" " * 99 + b"*/=1;alert(1)"),
    ("text that begins like a quicktime file", b"hellmdat" + b"film " * 14000),
    ("text that begins like amr", b"#!AMR\nrm -rf /\n"),
    ("text that begins like y4m", b"YUV4MPEG2 is a format, With no Height\nFRAMES\n"),
    ("riff of another form", b"RIFF\x24\0\0\0ACON" + bytes(40)),
    ("riff of midi", b"RIFF\x24\0\0\0RMIDdata" + bytes(40)),
    ("iff of another form", b"FORM\0\0\0\x24ILBMBMHD" + bytes(40)),
    ("ogg without a known stream", _ogg(b"unknown!" + bytes(20))),
    ("ogg cut in the middle", b"OggS\0\0" + _noise(4000)),
    ("ebml of another kind", _ebml(b"film-db")),
    ("ebml without a kind", b"\x1aE\xdf\xa3\x84\xec\x82\0\0"),
    ("a quicktime movie that only refers", _box(b"moov", _box(b"rmra", _box(b"rmda", bytes(20))))),
    ("a segment without its init", _box(b"styp", b"msdh", bytes(4)) + _box(b"moof", bytes(40))),
    ("a lying ftyp", b"\x7f\xff\xff\xfcftypisom" + _noise(400)),
    ("a tag with nothing behind", _id3(100)),
    ("a tag with noise behind", _id3(100) + _noise(9000)),
    ("a lone mp3 frame", _MP3[:417]),
    ("bm and noise", b"BM" + _noise(3000)),
    ("a start code and noise", b"\0\0\0\1\x67" + b"\xff" * 3000),
    ("jpeg's first bytes and noise", b"\xff\xd8\xff" + bytes(3000)),
    ("four packets of a transport stream", _NULL_PACKET * 4),
    (
        "a database of magic words",
        b"MIME-Magic\0\n[90:application/mxf]\n>0=\0\x11" + _MXF_KEY[:14] + b"\n>0=",
    ),
    ("flac without its first block", b"fLaC" + _noise(400)),
)
