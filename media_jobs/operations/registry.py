"""All operations by name. A new operation needs a line here."""

from typing import Any

from ..errors import UnknownOperation
from .audio import Audio
from .base import Operation
from .hls import Hls
from .inspect import Inspect
from .storyboard import Storyboard
from .thumbnail import Thumbnail
from .transcode import Transcode
from .waveform import Waveform

registry: dict[str, Operation[Any]] = {
    operation.name: operation
    for operation in (
        Inspect(),
        Thumbnail(),
        Transcode(),
        Audio(),
        Hls(),
        Waveform(),
        Storyboard(),
    )
}


def get(name: str) -> Operation[Any]:
    try:
        return registry[name]
    except (KeyError, TypeError):  # requests may name something that is not a string
        raise UnknownOperation(f"There is no such operation. Choose one of: {', '.join(registry)}.") from None
