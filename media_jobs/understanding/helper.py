"""The inference helper: a sandboxed process that loads an engine and answers requests until its stdin ends.

    python -m media_jobs.understanding.helper '{"module": ..., "arguments": [...], "threads": 1, "read": [...]}'

A request is a line of JSON, {"request": {...}, "arrays": [[dtype, shape], ...]}, and the raw bytes of the arrays. The
answer is a line of JSON on stdout: {"answer": {...}}, {"refused": "why"} or {"failed": "why"}. The first line says
that the engine is loaded. What libraries print goes to stderr.

With `read`, Landlock allows only these files, this code and its libraries to be opened. It confines the threads that
start later, so the engine's module must import the libraries of models in `load`.
"""

import importlib
import json
import math
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..ffmpeg import landlock
from .engine import Array, CannotAnswer, LoadedEngine

OUT_OF_MEMORY = "out of memory"
_CODE = (
    str(Path(__file__).parents[1]),
    str(Path(os.__file__).parent),
    sys.prefix,
    *filter(os.path.isabs, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
)


def main(options: str) -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries that print must not break the answers
    try:
        engine = _load(**json.loads(options))
    except CannotAnswer as refusal:
        return _say(answers, {"refused": str(refusal)})
    except Exception as error:
        traceback.print_exc()
        return _say(answers, {"failed": _reason(error)})
    _say(answers, {"answer": {}})
    while line := sys.stdin.buffer.readline():
        header = json.loads(line)
        arrays = [_read_array(sys.stdin.buffer, *described) for described in header["arrays"]]
        _say(answers, _answer(engine, header["request"], arrays))
    return None


def _load(module: str, arguments: Sequence[str], threads: int, read: Sequence[str] | None) -> LoadedEngine:
    found = importlib.import_module(module)
    if read is not None:
        landlock.confine([*landlock.SYSTEM, *landlock.LIBRARIES, *_CODE, *read], ["/dev/null"])
    engine: LoadedEngine = found.load(*arguments, threads=threads)
    return engine


def _answer(engine: LoadedEngine, request: Mapping[str, Any], arrays: Sequence[Array]) -> dict[str, Any]:
    try:
        return {"answer": engine.answer(request, arrays)}
    except CannotAnswer as refusal:
        return {"refused": str(refusal)}
    except Exception as error:
        traceback.print_exc()
        return {"failed": _reason(error)}


def _reason(error: Exception) -> str:
    # C++ libraries raise a RuntimeError for std::bad_alloc.
    is_memory = isinstance(error, MemoryError) or "bad_alloc" in str(error) or "Cannot allocate" in str(error)
    return OUT_OF_MEMORY if is_memory else type(error).__name__


def _read_array(source: BinaryIO, dtype: str, shape: Sequence[int]) -> Array:
    kind = np.dtype(dtype)
    raw = source.read(math.prod(shape) * kind.itemsize)
    return np.frombuffer(raw, kind).reshape(shape)


def _say(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
