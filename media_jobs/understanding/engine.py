"""What an inference helper runs: the names that both sides of its pipe use. It imports no library of models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Answer = dict[str, Any]


class CannotAnswer(Exception):
    """The engine refuses a request: a sentence for the owner of the job."""


class LoadedEngine(Protocol):
    """A model in memory. It keeps nothing of one request for the next."""

    def answer(self, request: Mapping[str, Any], arrays: Sequence[Array], /) -> Answer:
        """The JSON that answers a request. Raises CannotAnswer if it cannot be answered."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Which model a helper loads. `module` has a function `load(*arguments, threads)` that returns a LoadedEngine."""

    module: str
    arguments: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()  # files and folders that it reads, in addition to the code
    requests: int = 100  # that a helper answers before it is replaced: libraries leak, and no harm lasts longer
    start_timeout: float = 120.0  # seconds in which the model must be loaded
