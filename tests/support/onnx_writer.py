"""Writes small ONNX models, whose format is Protocol Buffers: only the fields that these need.

The numbers of the fields are those of onnx.proto3. Each field is a varint of its number and kind, and then a varint
(kind 0) or a length and bytes (kind 2).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FLOAT, _INT64 = 1, 7  # TensorProto.DataType
_INTS, _INT = 7, 2  # AttributeProto.AttributeType
Value = int | str | bytes
Side = int | str  # of a shape; a name is any number


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _message(*fields: tuple[int, Value]) -> bytes:
    return b"".join(_field(number, value) for number, value in fields)


def tensor(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    kind = _FLOAT if values.dtype == np.float32 else _INT64
    return _message(*((1, side) for side in values.shape), (2, kind), (8, name), (9, values.tobytes()))


def node(kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    return _message(
        *((1, name) for name in inputs), (2, output), (4, kind),
        *((5, _attribute(name, value)) for name, value in attributes.items()),
    )  # fmt: skip


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _message((1, name), (3, value), (20, _INT))
    return _message((1, name), *((8, number) for number in value), (20, _INTS))


def _value(name: str, shape: Sequence[Side]) -> bytes:
    sides = [(1, _message((1, side) if isinstance(side, int) else (2, side))) for side in shape]
    return _message((1, name), (2, _message((1, _message((1, _FLOAT), (2, _message(*sides)))))))


def write_model(
    path: Path,
    nodes: Sequence[bytes],
    constants: Mapping[str, NDArray[np.float32] | NDArray[np.int64]],
    inputs: Mapping[str, Sequence[Side]],
    outputs: Mapping[str, Sequence[Side]],
) -> None:
    graph = _message(
        *((1, one) for one in nodes), (2, "graph"),
        *((5, tensor(name, values)) for name, values in constants.items()),
        *((11, _value(name, shape)) for name, shape in inputs.items()),
        *((12, _value(name, shape)) for name, shape in outputs.items()),
    )  # fmt: skip
    path.write_bytes(_message((1, 8), (7, graph), (8, _message((1, ""), (2, 13)))))


def write_spot_detector(path: Path, *, with_objectness: bool = False, side: Side = 64) -> None:
    """A model that sees red and green spots, with the output of a YOLO. Its input has 64 pixels a side.

    It takes the other colours from each, averages cells of 8 x 8 pixels, and puts a box of 48 pixels around each.
    """
    middles = np.arange(8, dtype=np.float32) * 8 + 4
    across, down = np.meshgrid(middles, middles)
    sides = np.full(64, 48, np.float32)
    boxes = np.stack([across.ravel(), down.ravel(), sides, sides])[None]
    colours = np.array([[1, -1, -1], [-1, 1, -1]], np.float32)[:, :, None, None]
    constants: dict[str, NDArray[np.float32] | NDArray[np.int64]] = {
        "colours": colours, "boxes": boxes, "flat": np.array([1, 2, 64], np.int64),
        "sure": np.ones((1, 1, 64), np.float32),
    }  # fmt: skip
    parts = ["boxes", "sure", "scores"] if with_objectness else ["boxes", "scores"]
    nodes = [
        node("Conv", ["picture", "colours"], "coloured"),
        node("Relu", ["coloured"], "positive"),
        node("AveragePool", ["positive"], "cells", kernel_shape=[8, 8], strides=[8, 8]),
        node("Reshape", ["cells", "flat"], "scores"),
        node("Concat", parts, "columns" if with_objectness else "output", axis=1),
    ]
    if with_objectness:
        nodes.append(node("Transpose", ["columns"], "output", perm=[0, 2, 1]))
    shape = [1, 64, 7] if with_objectness else [1, 6, 64]
    write_model(path, nodes, constants, {"picture": [1, 3, side, side]}, {"output": shape})
