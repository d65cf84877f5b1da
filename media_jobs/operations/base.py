"""What an operation is: a named, versioned recipe with validated parameters, that makes files out of files.

An operation knows nothing of jobs, rows or Celery. It is given a Work, does it with the tools that come with it,
and answers with what it made. Adding one is one file here, one line in the registry, and one test.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from ..ffmpeg.command import Command
from ..ffmpeg.probing.media_facts import Facts
from ..ffmpeg.probing.verification import Expected

QUICK, HEAVY = LANES = "quick", "heavy"


class Params(BaseModel):
    """Parameters of an operation. The API and the admin's forms show their JSON Schema: describe each field.

    They are shown in the order in which they are declared. Declare all fields in one class: pydantic puts inherited
    fields first. Types that operations share, such as Start and End, are in shared/parameters.py.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


P = TypeVar("P", bound=Params)


@dataclass(frozen=True, slots=True)
class Input:
    """One file to work on. The path is ours; `name` is its owner's, and only to be shown."""

    path: Path
    name: str
    kind: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Output:
    """A file that an operation made in its folder. It counts only once it is as expected."""

    name: str  # of the artifact, and of the file that its owner gets: "video.mp4"
    path: Path
    kind: str  # video, audio, image or subtitle, as of uploads.content.sniffing.Kind
    media_type: str
    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True)
class Outcome:
    outputs: Sequence[Output]
    # What was learnt of the main input, to be kept with its Blob: `inspect` alone says something here.
    facts: Facts | None = None
    message: str = ""  # what its owner should know of it besides: "No poster could be made of it."


class Tools(Protocol):
    """What an operation may use. Each raises a Failure, or an Interruption when the work must stop."""

    def ffmpeg(
        self,
        command: Command,
        *,
        seconds: float | None = None,
        frames: int | None = None,
        share: tuple[float, float] = (0.0, 1.0),
        verb: str = "Encoded",
    ) -> str:
        """Run ffmpeg in the sandbox and report its progress, out of `seconds` or `frames` of output.

        `share` is the part of the whole job that this run is: of two passes, the second has (0.5, 1.0). `doing` is
        the verb of its message: "Encoded 500 of 2000 frames (1.8x)". Answers with what it wrote to stderr.
        """

    def probe(self, path: Path) -> Facts:
        """Look at a file, in a process of its own with little to spend."""

    def report(self, message: str, progress: float | None = None) -> None:
        """Tell whoever waits what is being done, between runs of ffmpeg."""


@dataclass(frozen=True, slots=True)
class Work(Generic[P]):
    params: P
    main: Input
    inputs: Sequence[Input]  # further ones, in the order of the request
    folder: Path  # private to this attempt, and gone with it
    tools: Tools
    threads: int  # that ffmpeg may use


class Operation(ABC, Generic[P]):
    name: ClassVar[str]
    version: ClassVar[int]  # counts up when the same parameters would give another result: old results are not reused
    title: ClassVar[str]  # for people: "Transcode"
    summary: ClassVar[str]  # one sentence for people
    lane: ClassVar[str]
    kinds: ClassVar[frozenset[str]]  # of the main input
    # Said where its owner's quota has no room for what it makes, if it is of use without: what it learnt is.
    spare: ClassVar[str] = ""
    reads_facts: ClassVar[bool] = False  # of the main input, for its owner to see
    further: ClassVar[int] = 0  # inputs that it may be given besides
    parameters: type[P]

    def check(self, params: P, kind: str, facts: Facts | None) -> None:
        """Raise UnfitMedia for what can be seen at submit, before any work. Facts may not be known yet."""

    @abstractmethod
    def run(self, work: Work[P]) -> Outcome: ...


def canonical(params: Params) -> dict[str, Any]:
    """The JSON of parameters: equal for parameters that mean the same, with every default filled in."""
    return params.model_dump(mode="json")
