"""Draws subtitles into the picture, in the font that comes with Millrace. The worker needs no fonts of its own."""

import re
import shutil
from pathlib import Path

from ...errors import UnfitMedia

FONT = "DejaVu Sans"
_FONT_FILE = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
_SCRIPT, _FOLDER = "text.ass", "fonts"  # in the work folder, where ffmpeg runs
_MOST_SHOWN = 10


# All words of the filter are ours: what users wrote is in the script.
TEXT_FILTER = f"ass=filename={_SCRIPT}:fontsdir={_FOLDER}"
_MISSING = re.compile(r"failed to find any fallback with glyph 0x([0-9A-Fa-f]{1,6})")


def write_text(script: str, folder: Path) -> None:
    """Write the script and the font beside each other, as the sandbox lets ffmpeg read only its work folder."""
    (folder / _SCRIPT).write_text(script)
    fonts = folder / _FOLDER
    fonts.mkdir(exist_ok=True)
    shutil.copyfile(_FONT_FILE, fonts / _FONT_FILE.name)


def check_drawn(log: str) -> None:
    """Raise UnfitMedia if ffmpeg left out characters, which it calls a success."""
    codes = dict.fromkeys(int(code, 16) for code in _MISSING.findall(log))
    if codes:
        shown = ", ".join(f"{chr(code)} (U+{code:04X})" for code in list(codes)[:_MOST_SHOWN])
        raise UnfitMedia(
            f"No font of the worker has these characters of the subtitles: {shown}. {FONT} comes with Millrace; for "
            "other scripts install a font on the workers, such as Noto."
        )
