"""Parse sizes as people write them (500MB, 10 GiB, 1048576), and write sizes for people (1.5 GB)."""

import re
from fractions import Fraction

_UNITS = {"": 1, "B": 1, "K": 1024, "KIB": 1024, "KB": 1000, "M": 1024**2, "MIB": 1024**2, "MB": 1000**2,
         "G": 1024**3, "GIB": 1024**3, "GB": 1000**3, "T": 1024**4, "TIB": 1024**4, "TB": 1000**4}  # fmt: skip
_NAMES = ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "KB")  # the largest first
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)


def parse_size(text: str) -> int:
    """Return the number of bytes. Raises ValueError if the text is not a size."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError("write a size such as 500MB or 10GiB")
    return int(Fraction(match[1]) * _UNITS[match[2].upper()])


def write_size(size: int) -> str:
    """Write a size so that `parse_size` reads the same number: with a unit if that is exact, else in bytes."""
    for name in _NAMES:
        unit = _UNITS[name.upper()]
        if size >= unit and 10 * size % unit == 0:
            return f"{size // unit} {name}" if size % unit == 0 else f"{size / unit:.1f} {name}"
    return str(size)


def human_size(size: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def exact_size(size: int) -> str:
    return f"{size} bytes" if size < 1000 else f"{human_size(size)} ({size:,} bytes)"
