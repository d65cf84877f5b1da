"""Subtitle files as scripts to draw: decoded, converted to ass, without anything but text and times.

Fonts and pictures in a file are left out, and other fonts are replaced by the one that comes with Millrace: a render
looks the same on every worker.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...errors import BadMedia, Failure, ToolFailed, UnfitMedia
from ...ffmpeg.command import Command, Source, Target
from ..base import Input, Work
from .burnt_text import FONT
from .parameters import RenderParams, Style
from .plan import Frame, PlannedClip
from .text_encodings import decode

LARGEST = 4 * 1024**2  # bytes of a file
_MOST_TEXT = 8 * 1024**2  # characters of all clips together: a line may be shown in several
_MOST_LINES = 50_000
_TIME = re.compile(r"(\d{1,3}):(\d{1,2}):(\d{1,2})[.:](\d{1,3})$")
_FONT_TAG = re.compile(r"\\fn[^\\}]*")
_INFO = re.compile(r"(ScriptType|PlayResX|PlayResY|WrapStyle|ScaledBorderAndShadow|Timer):\s*[\w.+]{1,16}$")
_STYLES = ("[v4+ styles]", "[v4 styles]")
_EVENTS = "[events]"
_EVENT_FORMAT = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
_STYLE_FORMAT = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    "StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, "
    "Encoding"
)
_NONE = "The subtitles have no lines: the file is empty, damaged, or not a subtitle file."


@dataclass(frozen=True, slots=True)
class Line:
    start: float
    end: float
    text: str  # the whole line of the script


@dataclass(frozen=True, slots=True)
class Script:
    head: str
    lines: Sequence[Line]

    def during(self, planned: PlannedClip, rate: Fraction) -> str:
        """The script of what is shown while this clip is; "" if nothing is."""
        begin, end = float(planned.at / rate), float((planned.at + planned.frames) / rate)
        shown = [line.text for line in self.lines if line.start < end and line.end > begin]
        return "\n".join([self.head, *shown, ""]) if shown else ""


def texts_of(work: Work[RenderParams], file: Input, frame: Frame, clips: Sequence[PlannedClip]) -> list[str]:
    """For each clip, the script of what is shown meanwhile. Raises UnfitMedia if the file is not a subtitle file."""
    script = _read(work, file, frame)
    texts = [script.during(clip, frame.rate) for clip in clips]
    if sum(map(len, texts)) > _MOST_TEXT:
        raise UnfitMedia("The subtitles are too large: too many lines are shown at the same time.")
    return texts


def _read(work: Work[RenderParams], file: Input, frame: Frame) -> Script:
    with file.path.open("rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UnfitMedia(f"The subtitle file {file.name} is larger than {LARGEST >> 20} MB.")
    text = decode(content, work.params.subtitles_encoding).lstrip("\n \t")
    if text[:13].lower() == "[script info]":
        head, lines = _head(text), list(_lines(text))
    else:
        head, lines = _styled(work.params.style, frame), list(_lines(_converted(work, text)))
    if not lines:
        raise UnfitMedia(_NONE)
    if len(lines) > _MOST_LINES:
        raise UnfitMedia(f"The subtitles have more than {_MOST_LINES} lines.")
    return Script(f"{head}\n\n[Events]\nFormat: {_EVENT_FORMAT}", lines)


def _converted(work: Work[RenderParams], text: str) -> str:
    """srt or vtt as ass."""
    source, target = work.folder / "subtitles.txt", work.folder / "subtitles.ass"
    source.write_text(text)
    format = "webvtt" if text.startswith("WEBVTT") else "srt"
    try:
        work.tools.ffmpeg(
            Command([Source(source, format)], [Target(target, ("-map", "0:s:0", "-c:s", "ass", "-f", "ass"))]),
            share=(0.0, 0.01),
            verb="Read",
        )
    except (BadMedia, ToolFailed, UnfitMedia) as failure:
        raise _not_subtitles(failure) from failure
    return target.read_text(errors="replace")


def _not_subtitles(failure: Failure) -> UnfitMedia:
    return UnfitMedia("The subtitles cannot be read: the file is damaged, or not a subtitle file.", log=failure.log)


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """The lines of an ass script, each with the name of its section."""
    section = ""
    for line in text.split("\n"):
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line.lower()
        elif line:
            yield section, line


def _head(text: str) -> str:
    """The settings and styles of an ass file, with our font."""
    info = ["[Script Info]"]
    styles: list[str] = []
    place = 1  # of the font, among the fields of a style
    for section, line in _sections(text):
        if section == "[script info]" and _INFO.match(line):
            info.append(line)
        elif section in _STYLES and line.lower().startswith("format:"):
            names = [name.strip().lower() for name in line.partition(":")[2].split(",")]
            place = names.index("fontname") if "fontname" in names else 1
            styles += ["", section.replace("v4", "V4").replace("styles", "Styles"), line]
        elif section in _STYLES and line.lower().startswith("style:"):
            fields = line.partition(":")[2].split(",")
            if place < len(fields):
                fields[place] = FONT
            styles.append(f"Style:{','.join(fields)}")
    return "\n".join([*info, *styles])


def _lines(text: str) -> Iterator[Line]:
    """The lines that are shown, without the names of fonts, and with the fields in the usual order."""
    names = [name.strip().lower() for name in _EVENT_FORMAT.split(",")]
    order = names
    for section, line in _sections(text):
        if section != _EVENTS:
            continue
        kind, _, rest = line.partition(":")
        if kind.lower() == "format":
            order = [name.strip().lower() for name in rest.split(",")]
        elif kind.lower() == "dialogue" and (found := _line(rest, order, names)):
            yield found


def _line(rest: str, order: Sequence[str], names: Sequence[str]) -> Line | None:
    fields = dict(zip(order, rest.strip().split(",", max(0, len(order) - 1)), strict=False))
    start, end = _seconds(fields.get("start", "")), _seconds(fields.get("end", ""))
    if start is None or end is None or end <= start or "text" not in fields:
        return None
    fields["text"] = _FONT_TAG.sub("", fields["text"])
    usual = {"layer": "0", "style": "Default", "marginl": "0", "marginr": "0", "marginv": "0"}
    return Line(start, end, "Dialogue: " + ",".join(fields.get(name, usual.get(name, "")) for name in names))


def _seconds(text: str) -> float | None:
    found = _TIME.match(text.strip())
    if found is None:
        return None
    hours, minutes, seconds, rest = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{rest}")


def _styled(style: Style, frame: Frame) -> str:
    """The head of a script for srt and vtt, in pixels of the result."""
    outline, margin = (round(each * frame.height / 100, 2) for each in (style.outline, style.margin))
    across = {"left": 1, "center": 2, "right": 3}[style.align]
    up = {"bottom": 0, "middle": 3, "top": 6}[style.position]
    fields = [
        "Default", FONT, f"{style.size * frame.height / 100:.2f}", *[_colour(style.colour)] * 2,
        *[_colour(style.outline_colour)] * 2, *(str(-int(flag)) for flag in (style.bold, style.italic)), "0", "0",
        "100", "100", "0", "0", "3" if style.box else "1", f"{outline:g}", "0", str(across + up),
        *[f"{margin:.0f}"] * 3, "1",
    ]  # fmt: skip
    info = [
        "[Script Info]", "ScriptType: v4.00+", f"PlayResX: {frame.width}", f"PlayResY: {frame.height}",
        "WrapStyle: 0", "ScaledBorderAndShadow: yes",
    ]  # fmt: skip
    return "\n".join([*info, "", "[V4+ Styles]", f"Format: {_STYLE_FORMAT}", f"Style: {','.join(fields)}"])


def _colour(rgb: str) -> str:
    """#rrggbb as ass has it: &HAABBGGRR."""
    return f"&H00{rgb[5:7]}{rgb[3:5]}{rgb[1:3]}"
