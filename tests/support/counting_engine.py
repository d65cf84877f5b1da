"""An engine without a model, for tests of the inference helper."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from media_jobs.understanding.engine import Answer, Array, CannotAnswer, Engine


class CountingEngine:
    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0

    def answer(self, request: Mapping[str, Any], arrays: Sequence[Array], /) -> Answer:
        self._count += 1
        print("libraries print what they like")  # noqa: T201
        match request["do"]:
            case "sum":
                return {"name": self._name, "count": self._count, "sums": [int(array.sum()) for array in arrays]}
            case "sleep":
                time.sleep(600)
            case "refuse":
                raise CannotAnswer("This cannot be answered.")
            case "fail":
                raise ValueError("secret")
            case "end":
                os._exit(3)
            case "use memory":
                return {"size": len(bytearray(3 << 30))}
        return {"reached": _reached(Path(request["file"])), "offline": os.environ.get("HF_HUB_OFFLINE")}


def _reached(file: Path) -> list[str]:
    """What this process can do that the sandbox should forbid."""
    found = []
    try:
        file.read_bytes()
        found.append("file")
    except OSError:
        pass
    try:
        socket.create_connection(("127.0.0.1", 5432), timeout=1).close()
        found.append("network")
    except OSError:
        pass
    return found


def load(name: str = "", *, threads: int) -> CountingEngine:
    if name == "refused":
        raise CannotAnswer("There is no such model.")
    return CountingEngine(name)


def engine(name: str = "first") -> Engine:
    return Engine(__name__, (name,))
