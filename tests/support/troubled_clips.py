"""Small recordings of every trouble that people's files have, made by the real ffmpeg when a test asks for them."""

import io
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import imageio_ffmpeg

FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()

PICTURE = "-f lavfi -i testsrc2=s=320x180:r=30:d=2"
SOUND = "-f lavfi -i sine=440:d=2:sample_rate=48000"
X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"
AAC = "-c:a aac"
HDR = "-c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p10"
BT2020 = "setparams=color_primaries=bt2020:colorspace=bt2020nc:color_trc="
# Eight tones, each a little later and louder than that before: peaks, pauses, and something to measure.
SPEECH = "aevalsrc='0.05*(1+floor(t*2))*sin(440*2*PI*t)*gt(mod(t,0.5),0.1):s=48000:d=4'"

# A still scene: in the dark, out of focus, and clear.
_THREE_PARTS = (
    r"-f lavfi -i testsrc2=s=320x180:r=5:d=0.2,loop=-1:1,trim=duration=20,setpts=N/5/TB,"
    r"eq=brightness=-0.45:contrast=0.3:enable='lt(t\,8)',gblur=sigma=12:enable='between(t\,8\,15)'"
)

# Name of the file -> what makes it.
RECIPES = {
    "film.mp4": f"{PICTURE} {SOUND} {X264} {AAC}",
    "film.mkv": f"{PICTURE} {SOUND} {X264} {AAC}",
    "film.ts": f"{PICTURE} {SOUND} {X264} {AAC} -g 300",
    "index-first.mp4": f"{PICTURE} {SOUND} {X264} {AAC} -movflags +faststart",
    "one-frame.mp4": f"{PICTURE} {X264} -frames:v 1",
    "only-sound.mp4": f"{SOUND} {AAC}",
    "only-picture.mp4": f"{PICTURE} {X264}",
    "odd.mp4": "-f lavfi -i testsrc2=s=400x300:r=30:d=1,format=yuv444p,crop=321:181:exact=1 "
    "-c:v libx264 -preset ultrafast",
    "wide-pixels.mp4": f"{PICTURE} -vf setsar=4/3 {X264}",
    "ten-bits.mp4": "-f lavfi -i testsrc2=s=320x180:r=30:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p10le",
    "pq.mp4": f"-f lavfi -i testsrc2=s=320x180:r=30:d=1 -vf {BT2020}smpte2084 {HDR}",
    "hlg.mp4": f"-f lavfi -i testsrc2=s=322x182:r=30:d=1 -vf {BT2020}arib-std-b67 {HDR}",
    "uneven.mp4": "-f lavfi -i testsrc2=s=320x180:r=15:d=2 -vf "
    r"settb=1/90000,setpts=PTS+0.005*mod(N*N*7\,5)/TB -fps_mode passthrough -enc_time_base 1/90000 " + X264,
    "camera.dv": "-f lavfi -i testsrc2=s=720x576:r=25:d=0.4 -f lavfi -i sine=440:d=0.4 -target pal-dv",
    "television.wtv": "-f lavfi -i testsrc2=s=320x180:r=25:d=0.4 -c:v mpeg2video -f wtv",
    "halves.ts": "-f lavfi -i testsrc2=s=320x180:r=50:d=1 -vf tinterlace=mode=interleave_top,setfield=tff "
    "-c:v mpeg2video -flags +ilme+ildct -b:v 3M",
    "many-tracks.mkv": f"{PICTURE} {SOUND} -f lavfi -i sine=880:d=6 -f lavfi -i testsrc=s=160x90:d=2 "
    f"-map 0 -map 1 -map 2 -map 3 {X264} {AAC}",
    "picture-ends-early.mkv": f"-f lavfi -i testsrc2=s=320x180:r=30:d=1 -f lavfi -i sine=440:d=3 {X264} {AAC}",
    "four-hours.mkv": f"-f lavfi -i testsrc2=s=320x180:r=1/60:d=14400 {X264}",
    "four-hours.flac": "-f lavfi -i aevalsrc=0:s=1000:d=14400:n=4096 -c:a flac -sample_fmt s16",
    "surround.mkv": "-f lavfi -i aevalsrc='0.1*sin(440*2*PI*t)|0|0|0|0|0:c=5.1(side):s=48000:d=2' -c:a ac3",
    "studio.mov": f"{PICTURE} {SOUND} -c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s24le",
    "speech.flac": f"-f lavfi -i {SPEECH}",
    "no-length.mp3": "-f lavfi -i aevalsrc='(random(0)-0.5)*gt(t,1):s=48000:d=4' -q:a 0 -write_xing 0",
    "peaks.wav": "-f lavfi -i aevalsrc='0.9*sin(440*2*PI*t)*(0.02+gt(mod(t,0.7),0.65)):d=4'",
    "pause.mka": "-f lavfi -i sine=440:d=4:sample_rate=48000 -af asetpts=if(gt(N\\,96000)\\,PTS+600/TB\\,PTS) "
    "-c:a flac",
    "stands-still.mkv": "-f lavfi -i testsrc2=s=320x180:r=30:d=2 -vf setpts=if(gt(N\\,30)\\,PTS+600/TB\\,PTS) "
    f"-fps_mode passthrough {X264}",
    "grey.mkv": f"-f lavfi -i color=gray:s=64x64:r=25:d=1 {X264}",
    "silence.wav": "-f lavfi -i anullsrc=d=2",
    "click.wav": "-f lavfi -i sine=440:d=0.2",
    # For renders: each has its colour and its tone.
    "red.mp4": f"-f lavfi -i color=red:s=160x90:r=25:d=3 -f lavfi -i sine=440:d=3:sample_rate=48000 {X264} {AAC}",
    "green.mkv": "-f lavfi -i color=green:s=96x128:r=30:d=2 -f lavfi -i sine=880:d=2:sample_rate=44100 "
    f"{X264} -c:a flac",
    "blue.webm": "-f lavfi -i color=blue:s=160x120:r=30:d=2 -vf select=not(mod(n\\,7))+lt(n\\,8) -fps_mode vfr "
    "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 50k",
    "counter.mp4": "-f lavfi -i nullsrc=s=160x90:r=25:d=2,geq=lum=16+4*N:cb=128:cr=128,format=yuv420p "
    "-c:v libx264 -preset ultrafast -qp 8",
    "yellow.png": "-f lavfi -i color=yellow:s=320x320,format=rgba -frames:v 1",
    "deep.wav": "-f lavfi -i sine=220:d=2:sample_rate=44100",
    "still.png": "-f lavfi -i testsrc2=s=1280x720 -frames:v 1",
    "dim-blurred-clear.mp4": f"{_THREE_PARTS} -g 10 {X264}",
    "dim-blurred-clear-and-one-key-frame.mp4": f"{_THREE_PARTS} -g 999 {X264}",
    "black-then-bars.mp4": "-f lavfi -i color=black:s=320x180:r=10:d=20,drawbox=enable=gt(t\\,9)*lt(t\\,14)"
    f":color=red:t=fill,drawgrid=enable=gt(t\\,9)*lt(t\\,14):w=20:h=20:c=white -g 10 {X264}",
}

# For HLS: long enough for several segments, with key frames every two seconds and frames out of order.
_LONG = "-f lavfi -i testsrc2=s=160x90:r={rate}:d=14 -f lavfi -i sine=440:d=14:sample_rate=44100"
_ORDERLY = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 2 -x264-params keyint=50:scenecut=0:open-gop=0"
_LEAP = "setpts=PTS+gte(N\\,10)*100000/TB"
_LEAPING = f"{PICTURE} {SOUND} -vf {_LEAP} -af a{_LEAP} -fps_mode passthrough {X264} -c:a flac"
RECIPES |= {
    "index-last.mp4": f"{_LONG.format(rate=25)} {_ORDERLY} {AAC}",
    "faststart.mp4": f"{_LONG.format(rate=25)} {_ORDERLY} {AAC} -movflags +faststart",
    "hour.mp4": "-f lavfi -i testsrc2=s=160x90:r=1/5:d=3600 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 1",
    "camera.mov": f"{_LONG.format(rate=25)} {_ORDERLY} {AAC}",
    "ntsc.mp4": f"{_LONG.format(rate='30000/1001')} {_ORDERLY} {AAC}",
    "variable-rate.mp4": f"{_LONG.format(rate=25)} -vf select=not(mod(n\\,3))+lt(n\\,100) -fps_mode vfr {_ORDERLY} "
    f"{AAC}",
    "negative-offsets.mp4": f"{_LONG.format(rate=25)} {_ORDERLY} {AAC} -movflags +negative_cts_offsets",
    "two-languages.mp4": f"{_LONG.format(rate=25)} -f lavfi -i sine=880:d=9 -map 0 -map 1 -map 2 {_ORDERLY} {AAC} "
    "-metadata:s:a:0 language=eng -metadata:s:a:1 language=fra",
    "wide-and-silent.mp4": f"-f lavfi -i testsrc2=s=160x90:r=25:d=14 -vf setsar=4/3 {_ORDERLY}",
    "open-gop.mp4": f"{_LONG.format(rate=25)} -c:v libx264 -preset veryfast -pix_fmt yuv420p "
    f"-x264-params open-gop=1:bframes=3:b-adapt=0:keyint=50:scenecut=0 {AAC}",
    "few-key-frames.mp4": f"{_LONG.format(rate=25)} {_ORDERLY.replace('keyint=50', 'keyint=500')} {AAC}",
    "fragmented.mp4": f"{PICTURE} {SOUND} {X264} {AAC} -movflags frag_keyframe+empty_moov",
    "hevc.mp4": f"{PICTURE} {SOUND} -c:v libx265 -preset ultrafast -x265-params log-level=error {AAC}",
    "one-minute.mp4": f"-f lavfi -i testsrc2=s=160x90:r=25:d=64 -f lavfi -i sine=440:d=64 {_ORDERLY} {AAC}",
    "surround.mp4": f"{PICTURE} {SOUND} {X264} -c:a ac3",
    "late-sound.mkv": "-f lavfi -i testsrc2=s=160x90:r=25:d=10 -itsoffset 1 -f lavfi -i sine=440:d=9 "
    f"{_ORDERLY} {AAC}",
    "late-picture.mkv": "-itsoffset 1 -f lavfi -i testsrc2=s=160x90:r=25:d=9 -f lavfi -i sine=440:d=10 "
    f"{_ORDERLY} {AAC}",
    "hdr10.mp4": f"{_LONG.format(rate=5)} -vf {BT2020}smpte2084 {HDR} -g 10 {AAC}",
    "leaps.mkv": _LEAPING,
    "leaps-without-length.mkv": f"{_LEAPING} -live 1",
    "slides.webm": "-f lavfi -i testsrc2=s=160x90:r=25:d=40 -f lavfi -i sine=440:d=40 "
    r"-vf select='not(mod(n\,25))*not(between(t\,3\,33))' -fps_mode vfr -c:v libvpx-vp9 -deadline realtime "
    "-c:a libopus",
}


def _cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def _scratched(whole: bytes) -> bytes:
    """A few wrong bytes in the middle of the pictures, as a bad disk leaves them."""
    content, dice = bytearray(whole), random.Random(3)
    begin = content.index(b"mdat") + len(content) // 2
    for _ in range(12):
        content[dice.randrange(begin, begin + len(content) // 4)] ^= 0xFF
    return bytes(content)


def _ruined(whole: bytes) -> bytes:
    content, begin = bytearray(whole), whole.index(b"mdat") + 4
    content[begin:] = random.Random(4).randbytes(len(content) - begin)
    return bytes(content)


def _lying(whole: bytes) -> bytes:
    """Its index calls frames key frames that are none: those ten frames before each."""
    content, at = bytearray(whole), whole.index(b"stss") + 8
    for entry in range(at + 8, at + 4 + 4 * int.from_bytes(whole[at : at + 4], "big"), 4):
        number = int.from_bytes(content[entry : entry + 4], "big")
        content[entry : entry + 4] = (number - 10).to_bytes(4, "big")
    return bytes(content)


def _torn(whole: bytes) -> bytes:
    """Wrong bytes all over it, but for the beginning."""
    content, dice = bytearray(whole), random.Random(6)
    for _ in range(60):
        content[dice.randrange(len(content) // 4, len(content))] ^= 0xFF
    return bytes(content)


def _wrong_lengths(whole: bytes) -> bytes:
    """Five packets of its picture say that their first NAL unit is longer than they are."""
    content = bytearray(whole)
    with av.open(io.BytesIO(whole), "r") as film:
        packets = [bytes(packet) for packet in film.demux(video=0) if packet.size]
    for packet in packets[50:55]:
        at = whole.index(packet)
        content[at : at + 4] = (len(packet) + 1000).to_bytes(4, "big")
    return bytes(content)


# Name of the file -> the clip that it was, and what happened to it.
DAMAGED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "cut.mp4": ("index-first.mp4", _cut),
    "cut.mkv": ("film.mkv", _cut),
    "cut-before-its-index.mp4": ("film.mp4", _cut),
    "scratched.mp4": ("index-first.mp4", _scratched),
    "ruined.mp4": ("index-first.mp4", _ruined),
    "begins-anew.ts": ("film.ts", lambda whole: whole + whole),
    "lying-index.mp4": ("index-last.mp4", _lying),
    "torn.mkv": ("orderly.mkv", _torn),
    "wrong-lengths.mkv": ("orderly.mkv", _wrong_lengths),
    "wrong-lengths.mp4": ("index-last.mp4", _wrong_lengths),
    "no-media.mp4": ("film.mp4", lambda whole: random.Random(5).randbytes(len(whole))),
}


# Name of the file -> the clip that it is a copy of, and options before and after it.
COPIES = {
    "rotated.mp4": ("film.mp4", "-display_rotation 90", ""),
    "turned.mp4": ("index-last.mp4", "-display_rotation 90", ""),
    "orderly.mkv": ("index-last.mp4", "", ""),
    "orderly.ts": ("index-last.mp4", "", ""),
    "orderly.avi": ("index-last.mp4", "", ""),
    "orderly.flv": ("index-last.mp4", "", ""),
    "ntsc.ts": ("ntsc.mp4", "", ""),
    "late-sound.mp4": ("late-sound.mkv", "", ""),
    "late-sound.ts": ("late-sound.mkv", "", ""),
    "late-picture.mp4": ("late-picture.mkv", "", ""),
    "late-picture.ts": ("late-picture.mkv", "", ""),
    "variable-rate.mkv": ("variable-rate.mp4", "", ""),
    "counter.ts": ("counter.mp4", "", ""),
    "counter.mkv": ("counter.mp4", "", ""),
    "open-gop.ts": ("open-gop.mp4", "", ""),
    "begins-in-a-gop.mp4": ("index-last.mp4", "-ss 3.3", ""),
}


def clip(name: str, folder: Path) -> Path:
    path = folder / name
    if not path.exists():
        part = folder / f"{os.getpid()}-{name}"  # several test processes may make the same one
        _make(name, folder, part)
        part.rename(path)
    return path


def with_subtitles(source: Path, target: Path, *languages: str) -> Path:
    """A copy with the same subtitles in each of these languages."""
    words = target.with_suffix(".srt")
    words.write_text("1\n00:00:01,000 --> 00:00:03,000\nHello\n\n2\n00:00:05,000 --> 00:00:07,500\nGood bye\n")
    maps = [word for _ in languages for word in ("-map", "1")]
    names = [
        word for number, name in enumerate(languages) for word in (f"-metadata:s:s:{number}", f"language={name}")
    ]
    ffmpeg("-i", str(source), "-i", str(words), "-map", "0", *maps, "-c", "copy", *names, str(target))
    return target


def _make(name: str, folder: Path, path: Path) -> None:
    if name in DAMAGED:
        whole, damage = DAMAGED[name]
        path.write_bytes(damage(clip(whole, folder).read_bytes()))
    elif name in COPIES:
        origin, before, after = COPIES[name]
        ffmpeg(*before.split(), "-i", str(clip(origin, folder)), *after.split(), "-c", "copy", str(path))
    else:
        ffmpeg(*(word.strip("'") for word in RECIPES[name].split()), str(path))


def ffmpeg(*arguments: str, level: str = "error") -> str:
    command = [FFMPEG, "-v", level, "-nostdin", "-y", *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stderr
