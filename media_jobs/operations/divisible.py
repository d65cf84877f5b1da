"""Operations whose work can be divided into parts, which several workers do at the same time."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..ffmpeg.probing.media_facts import Facts
from .base import HEAVY, Operation, Outcome, Output, P, Work

PARTS_SHARE = 0.97  # where `join` copies what the parts have made


class Indivisible(Exception):
    """The work is done in one piece. The message completes the sentence "In one piece: …"."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the work, which needs no other part."""

    spec: dict[str, Any]  # JSON: what `run_part` needs to know
    weight: float  # its share of the work, in seconds of media
    outputs: Sequence[Output] = field(default=())  # of `run_part`, if splitting has made them already
    lane: str | None = None  # None: that of `parts_lane_of`


@dataclass(frozen=True, slots=True)
class DonePart:
    spec: Mapping[str, Any]
    files: Mapping[str, Path]  # the outputs of `run_part` by their names


@dataclass(frozen=True, slots=True)
class Again:
    """Some parts are to be made again, in another way, as the result would not do."""

    specs: Mapping[int, dict[str, Any]]  # the new ones, by the places of the parts


@dataclass(frozen=True, slots=True)
class PartState:
    """How far a part is."""

    spec: Mapping[str, Any]
    message: str
    is_done: bool


def parts_made(parts: Sequence[PartState]) -> str:
    return f"Made {sum(part.is_done for part in parts)} of {len(parts)} parts"


class DivisibleOperation(Operation[P]):
    """split → run_part for each part, on any worker → join. Or `run`, if `split` raises Indivisible."""

    parts_lane: ClassVar[str] = HEAVY

    def parts_lane_of(self, params: P) -> str:
        return self.parts_lane

    def parts_share(self, params: P) -> float:
        """What share of all the work the parts are, for the progress. The rest is `join`."""
        return PARTS_SHARE

    def message_of_parts(self, params: P, parts: Sequence[PartState]) -> str:
        """The message of the job while its parts are made."""
        return parts_made(parts)

    @abstractmethod
    def is_worth_splitting(self, facts: Facts, slots: int, least: float) -> bool:
        """Whether to try. `slots` is the number of workers that could share it, `least` a setting in seconds."""

    @abstractmethod
    def split(self, work: Work[P], slots: int) -> Sequence[Part] | Outcome:
        """Divide the work; or return its result, if it turned out to be done. Raises Indivisible."""

    def inputs_of(self, spec: Mapping[str, Any]) -> Collection[int] | None:
        """The numbers of the files that a part needs; 0 is the main file. None: all. Others may not be fetched."""
        return None

    def recipe(self, spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What the outputs of a part depend on, besides its files. None: they are of no use to another job.

        Else they are kept for a while after the job has ended. A job of the same owner that has an equal part uses
        them.
        """
        return None

    @abstractmethod
    def run_part(self, work: Work[P], spec: Mapping[str, Any]) -> Outcome:
        """Do one part. Its outputs are kept for `join`."""

    @abstractmethod
    def join(self, work: Work[P], parts: Sequence[DonePart]) -> Outcome | Again | Sequence[Part]:
        """Make the result of all parts, which are in their order; or ask for other ones, or for further ones."""
