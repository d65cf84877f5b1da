"""System checks, for `manage.py check` and each start: whether ffmpeg, its sandbox and the plug-ins work here."""

import sys
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Info, Warning, register

from .conf import jobs
from .detection.frame_engine import frame_engine
from .detection.onnx_models import find_onnx, names_of
from .errors import Failure
from .ffmpeg.binary import NoFfmpeg
from .ffmpeg.sandbox import OWN_FILES, Layer, NoIsolation
from .queue import plugin_reports
from .understanding.extras import SPEECH, VISION, NoModel, installed
from .understanding.helper_process import HelperProcess
from .understanding.whisper_models import find_model
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
                hint="Allow user namespaces, install bubblewrap, or set MILLRACE_SANDBOX=on.",
                id="media_jobs.E002",
            )
        ]
    if jobs().sandbox == "off":
        return [Info("MILLRACE_SANDBOX=off: ffmpeg runs with all rights of this account.", id="media_jobs.I001")]
    missing = [layer for layer in sandbox.layers if not layer.holds]
    return [_missing(layer) for layer in sorted(missing, key=lambda layer: layer.name != _NETWORK)]


@register()
def plugins(**_: Any) -> list[CheckMessage]:
    return [
        Warning(
            f"The plug-in {plugin.name} of the package {plugin.package} cannot be used. {plugin.reason}",
            hint="Mend or remove the package; docs/plugins.md lists what an operation or a detector must have.",
            id="media_jobs.W004",
        )
        for plugin in plugin_reports.broken()
    ]


@register()
def models(**_: Any) -> list[CheckMessage]:
    """Whether extras that are installed can be used; `manage.py check` alone lists them."""
    found: list[CheckMessage] = []
    words = [f"Extras: {', '.join(map(str, installed()))}."]
    if SPEECH in installed():
        try:
            words.append(f"transcribe uses the Whisper model {find_model(jobs().whisper_model).name}.")
        except NoModel as reason:
            found.append(Warning(f"transcribe cannot run here. {reason}", id="media_jobs.W005"))
    if installed() and _is_asked():
        found.append(Info(" ".join(words), id="media_jobs.I002"))
    return found


@register()
def detector_models(**_: Any) -> list[CheckMessage]:
    """Whether the operator's models are complete. `manage.py check` loads them, too, in the sandbox."""
    folder, asked = jobs().detector_models, _is_asked()
    if folder and not Path(folder).expanduser().is_dir():
        return [Warning("MILLRACE_DETECTOR_MODELS names no folder that this account can read.", id="media_jobs.W006")]
    if not folder or VISION not in installed():
        return []
    found: list[CheckMessage] = []
    usable = []
    for name in names_of(folder):
        try:
            detector = find_onnx(folder, name)
            if asked:
                HelperProcess(frame_engine([detector], {}, 0.0), equipment().sandbox, 1, lambda: None).end()
            usable.append(name)
        except (NoModel, Failure) as reason:
            found.append(Warning(f"The detector {name} cannot be used. {reason}", id="media_jobs.W006"))
    if asked and usable:
        found.append(Info(f"detect knows these models: {', '.join(usable)}.", id="media_jobs.I003"))
    return found


def _is_asked() -> bool:
    """Whether `manage.py check` runs: Django shows the same at each command."""
    return sys.argv[1:2] == ["check"]


def _missing(layer: Layer) -> CheckMessage:
    if layer.name == _NETWORK:
        return Warning(
            f"FFMPEG CAN REACH THE NETWORK: a malicious file can connect to whatever this machine can. {layer.why}",
            hint="Allow unprivileged user namespaces or install bubblewrap. MILLRACE_SANDBOX=require demands it.",
            id="media_jobs.W001",
        )
    if layer.name == OWN_FILES:
        return Warning(
            f"ffmpeg can read all files that this account can, the database included. {layer.why}",
            hint="Use Linux 5.13 or newer, with Landlock in the kernel's list of security modules (`lsm=`).",
            id="media_jobs.W003",
        )
    return Warning(
        f"ffmpeg runs without one layer of its sandbox: {layer.name}. {layer.why}",
        hint="Install util-linux (setpriv, prlimit) and coreutils (nice).",
        id="media_jobs.W002",
    )
