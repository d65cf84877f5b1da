"""The base class of operations: named, versioned recipes with validated parameters that make files from files.

An operation does not know jobs, models or Celery. It gets a Work, and returns an Outcome. To add an operation, write
one module in this package, one line in registry.py, and one test module.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from ..errors import EndpointRemoved, InferenceFailed
from ..ffmpeg.command import Command
from ..ffmpeg.probing.media_facts import Facts
from ..ffmpeg.probing.verification import Expected
from ..ffmpeg.progress import Block
from ..prediction.sent_content import Body, SentContent
from ..understanding.engine import Answer, Array, Engine

QUICK, BULK, HEAVY, INFERENCE = LANES = "quick", "bulk", "heavy", "inference"


class Params(BaseModel):
    """Parameters of an operation. The API and the admin's forms show their JSON Schema: describe each field.

    They are shown in the order in which they are declared. Declare all fields in one class: pydantic puts inherited
    fields first. Types that operations share, such as Start and End, are in shared/parameters.py.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


P = TypeVar("P", bound=Params)


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of a file before its content is fetched."""

    name: str
    kind: str
    facts: Facts | None


@dataclass(frozen=True, slots=True)
class Input:
    """An input file. `path` is chosen by the worker; `name` is its owner's, only for display."""

    path: Path
    name: str
    kind: str
    facts: Facts
    media_type: str = ""  # "": not known


@dataclass(frozen=True, slots=True)
class Output:
    """A file that an operation made in its folder. The job fails if it is not as `expected`."""

    name: str  # of the artifact and of the resulting file, such as "video.mp4"
    path: Path
    kind: str  # video, audio, image or subtitle: see uploads.content.sniffing.Kind; "" for data
    media_type: str
    expected: Expected | None = field(default_factory=Expected)  # None for data: only an empty file is refused then


@dataclass(frozen=True, slots=True)
class Outcome:
    outputs: Sequence[Output]
    facts: Facts | None = None  # of the main input, to be stored with its Blob; only `inspect` returns them
    message: str = ""  # what the owner should know about the result
    measured: Mapping[str, Any] | None = None  # JSON: what was measured at the result, such as its VMAF


class Tools(Protocol):
    """What an operation may use. Every method raises a Failure, or an Interruption when the job must stop."""

    def ffmpeg(
        self,
        command: Command,
        *,
        seconds: float | None = None,
        frames: int | None = None,
        share: tuple[float, float] = (0.0, 1.0),
        verb: str = "Encoded",
        describe: Callable[[Block], str] | None = None,
        look: Callable[[], object] | None = None,
    ) -> str:
        """Run ffmpeg in the sandbox and report its progress, out of `seconds` or `frames` of output.

        `share` is the start and end of this run within the whole job: (0.5, 1.0) for the second of two passes. `verb`
        is the first word of the message: "Encoded 500 of 2000 frames (1.8x)"; or `describe` makes another message of
        how far ffmpeg is. Returns what ffmpeg wrote to stderr.
        `look` is called every few seconds while it runs, to use what is finished. What it raises ends the run.
        """

    def decode(
        self,
        command: Command,
        consume: Callable[[bytes], object],
        *,
        unit: int,
        seconds: float | None = None,
        frames: int | None = None,
        share: tuple[float, float] = (0.0, 1.0),
        verb: str = "Read",
        describe: Callable[[Block], str] | None = None,
    ) -> str:
        """Run ffmpeg as above, and pass the samples or frames of the command's PipeTarget to `consume`.

        They come in pieces of any length. `unit` is the bytes of a second, or of a frame if `frames` is given. ffmpeg
        waits while `consume` works, so it may take its time; beyond a second it must call `report`, which raises when
        the job must stop. What `consume` raises ends the run.
        """

    def probe(self, path: Path) -> Facts:
        """Read the facts of a file, in a child process with low limits."""

    def report(self, message: str, progress: float | None = None) -> None:
        """Set the message and progress of the job, between runs of ffmpeg."""


class Notes(Protocol):
    """What an operation found out about the content of the main input, for later jobs on it. Old notes are lost.

    The key says what it is, in all that it depends on besides the operation and its version.
    """

    def get(self, key: str, /) -> Mapping[str, Any] | None: ...

    def __setitem__(self, key: str, value: dict[str, Any], /) -> None: ...


class Inference(Protocol):
    """The inference helper of the worker: a sandboxed process that keeps a model loaded between jobs."""

    def ask(self, engine: Engine, request: Mapping[str, Any], /, *arrays: Array, timeout: float = ...) -> Answer:
        """The engine's JSON answer to a request with these arrays. The helper is started, or replaced, if need be.

        Raises a Failure: after `timeout` seconds, for example. The helper is killed if the job must stop.
        """


class NoInference:
    """Where an operation runs without a worker."""

    def ask(self, engine: Engine, request: Mapping[str, Any], /, *arrays: Array, timeout: float = 0.0) -> Answer:
        raise InferenceFailed("There is no inference helper here.")


class ModelServer(Protocol):
    """The model server that the parameters name."""

    @property
    def content(self) -> SentContent:
        """What it is sent."""

    def ask(self, body: Body, on_sent: Callable[[int], None], on_wait: Callable[[float], None], /) -> bytes:
        """Send it this, and return the JSON document that it answers. Raises a Failure.

        `on_sent` is told the bytes that are sent, and then `on_wait` the seconds for which the answer takes.
        """


_REMOVED = "The model server of this job was removed. Choose another one."


class NoModelServer:
    """Where the server was removed after the job was submitted."""

    @property
    def content(self) -> SentContent:
        raise EndpointRemoved(_REMOVED)

    def ask(self, body: Body, on_sent: Callable[[int], None], on_wait: Callable[[float], None], /) -> bytes:
        raise EndpointRemoved(_REMOVED)


class Checkpoints(Protocol):
    """Outputs of a part that are stored while the rest is made. The next attempt goes on after them."""

    @property
    def names(self) -> Collection[str]:
        """Of the outputs that this attempt and earlier ones have stored."""

    def keep(self, output: Output) -> None:
        """Verify and store an output. It can be used by others at once, and is not to be returned at the end."""


@dataclass(frozen=True, slots=True)
class Work(Generic[P]):
    params: P
    main: Input
    inputs: Sequence[Input]  # further files, in the order of the request
    folder: Path  # private to this attempt; removed at its end
    tools: Tools
    threads: int  # that ffmpeg may use
    notes: Notes = field(default_factory=dict[str, dict[str, Any]])
    inference: Inference = field(default_factory=NoInference)
    models: Mapping[str, str] = field(default_factory=dict[str, str])  # that the administrator chose, by extra
    model_server: ModelServer = field(default_factory=NoModelServer)
    checkpoints: Checkpoints | None = None  # None: it is no part, and its outputs are returned together

    @property
    def files(self) -> Sequence[Input]:
        """The main file and the further ones, as parameters number them."""
        return [self.main, *self.inputs]


class Operation(ABC, Generic[P]):
    name: ClassVar[str]
    version: ClassVar[int]  # increase it when equal parameters give another result: cached results are not used then
    title: ClassVar[str]  # shown to users: "Transcode"
    summary: ClassVar[str]  # one sentence, shown to users
    lane: ClassVar[str]
    kinds: ClassVar[frozenset[str]]  # of the main input
    # If set, the job succeeds with this message where the quota has no room for its outputs.
    message_without_outputs: ClassVar[str] = ""
    reads_facts: ClassVar[bool] = False  # whether it reads the facts of the main input, which its owner may see then
    max_inputs: ClassVar[int] = 0  # files that it accepts in addition to the main input
    extra: ClassVar[str] = ""  # the name of the extra (understanding/extras.py) that it needs
    endpoint_parameter: ClassVar[str] = ""  # the parameter that names a model server, if there is one
    parameters: type[P]

    def lane_of(self, params: P) -> str:
        """The lane of a job with these parameters."""
        return self.lane

    def extras_of(self, params: P) -> Collection[str]:
        """The names of the extras that a job with these parameters needs."""
        return [self.extra] if self.extra else []

    def check_models(self, params: P, models: Mapping[str, str]) -> None:
        """Raise NoModel if a model of a job is not here. `models`: what the administrator chose, by extra."""

    def model_identity(self, params: P, models: Mapping[str, str]) -> str | None:
        """Changes with the models that a job uses: results of others are no results of it. None: it uses none.

        `models` are those that the administrator chose, by extra.
        """
        return None

    def endpoint(self, params: P) -> str:
        """The name of the model server that the parameters choose; "" if the operation needs none."""
        return str(getattr(params, self.endpoint_parameter)) if self.endpoint_parameter else ""

    def check(self, params: P, kind: str, facts: Facts | None) -> None:
        """Raise UnfitMedia if the file does not fit. Called at submit, when `facts` may be None, and by `run`."""

    def check_files(self, params: P, files: Sequence[Described]) -> None:
        """Raise UnfitMedia if the main file and the further ones do not fit. Called at submit, after `check`."""

    def file_ids(self, params: P) -> Sequence[UUID]:
        """The files that the parameters name by their ids, in addition to those of the request."""
        return ()

    def with_files(self, params: P, names: Mapping[int | UUID, int | UUID]) -> P:
        """The parameters with other names of files: numbers for ids, or ids for numbers.

        The main file has the number 0, and the first further one 1.
        """
        return params

    @abstractmethod
    def run(self, work: Work[P]) -> Outcome: ...


def canonical(params: Params) -> dict[str, Any]:
    """The JSON of parameters: equal for parameters that mean the same, with every default filled in."""
    return params.model_dump(mode="json")
