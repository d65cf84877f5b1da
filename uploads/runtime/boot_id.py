"""The id of this boot of the system. Whatever was in memory before another boot is gone."""

from pathlib import Path


def _read() -> str:
    """The id; "" where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


BOOT_ID = _read()
