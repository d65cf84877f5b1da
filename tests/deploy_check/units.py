"""The systemd units: whether systemd accepts them, and how much it takes from them."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.support.preloaded_processes import ROOT

FOLDER = ROOT / "deploy" / "systemd"
ANALYZE = shutil.which("systemd-analyze")
_INSTALLED = "/srv/millrace"  # where the units expect Millrace
_MOST_EXPOSED = 25  # of 100; a service without any protection has 96


def problems(scratch: Path) -> list[str]:
    """`systemd-analyze verify` on copies, in which Millrace is installed where this checkout is."""
    copies = [scratch / path.name for path in sorted(FOLDER.iterdir())]
    for copy in copies:
        copy.write_text((FOLDER / copy.name).read_text().replace(_INSTALLED, str(ROOT)))
    named = [str(copy).replace("worker@.", "worker@quick.") for copy in copies]
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", "--recursive-errors=no", *named], capture_output=True, text=True
    )
    about_us = [line for line in done.stderr.splitlines() if "millrace" in line]
    return [*about_us, *([done.stderr] if done.returncode else [])]


def exposures() -> dict[str, float]:
    """What `systemd-analyze security` makes of each service: 0 is best, 10 worst."""
    return {path.name: _exposure(path) for path in sorted(FOLDER.glob("*.service"))}


def too_exposed() -> list[str]:
    return [f"{name}: {found}" for name, found in exposures().items() if found * 10 > _MOST_EXPOSED]


def _exposure(path: Path) -> float:
    done = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--no-pager", str(path)], capture_output=True, text=True
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return float(found[1])
