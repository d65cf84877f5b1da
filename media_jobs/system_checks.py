"""System checks, for `manage.py check` and each start: whether ffmpeg and its sandbox work on this machine."""

from typing import Any

from django.core.checks import CheckMessage, Error, Info, Warning, register

from .conf import jobs
from .ffmpeg.binary import NoFfmpeg
from .ffmpeg.sandbox import OWN_FILES, Layer, NoIsolation
from .worker.slot import equipment

_NETWORK = "no network"


@register()
def tools(**_: Any) -> list[CheckMessage]:
    try:
        sandbox = equipment().sandbox
    except NoFfmpeg as reason:
        return [
            Error(
                str(reason),
                hint="Set MILLRACE_FFMPEG to an ffmpeg that runs here, or install imageio-ffmpeg.",
                id="media_jobs.E001",
            )
        ]
    except NoIsolation as reason:
        return [
            Error(
                str(reason),
                hint="MILLRACE_SANDBOX=require asks for it: allow user namespaces, install bwrap, or say “on”.",
                id="media_jobs.E002",
            )
        ]
    if jobs().sandbox == "off":
        return [Info("MILLRACE_SANDBOX=off: ffmpeg may do whatever we may.", id="media_jobs.I001")]
    missing = [layer for layer in sandbox.layers if not layer.holds]
    return [_missing(layer) for layer in sorted(missing, key=lambda layer: layer.name != _NETWORK)]


def _missing(layer: Layer) -> CheckMessage:
    if layer.name == _NETWORK:
        return Warning(
            f"NOTHING KEEPS FFMPEG FROM THE NETWORK: a hostile film may reach whatever this machine can. {layer.why}",
            hint="Allow unprivileged user namespaces, or install bubblewrap; MILLRACE_SANDBOX=require insists on it.",
            id="media_jobs.W001",
        )
    if layer.name == OWN_FILES:
        return Warning(
            f"ffmpeg can read whatever we can, the database and all files: {layer.why}",
            hint="Linux 5.13 or newer has Landlock, if it is in the kernel's list of security modules (`lsm=`).",
            id="media_jobs.W003",
        )
    return Warning(
        f"Of the sandbox that ffmpeg runs in, one layer does not hold: {layer.name}. {layer.why}",
        hint="Jobs run without it. On Linux, util-linux (setpriv, prlimit) and coreutils (nice) bring it.",
        id="media_jobs.W002",
    )
