"""All operations by name: those of plug-ins, and those built in, which need a line here."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from ..entry_points import BrokenPlugin, Plugins
from ..errors import UnknownOperation
from .audio import Audio
from .base import Operation
from .detect import Detect
from .hls import Hls
from .inspect import Inspect
from .plugins import OPERATIONS
from .predict import Predict
from .render import Render
from .storyboard import Storyboard
from .thumbnail import Thumbnail
from .transcode import Transcode
from .transcribe import Transcribe
from .waveform import Waveform


class Registry(Mapping[str, Operation[Any]]):
    """Plug-ins are loaded when the registry is first used: commands that need no operation do not import them."""

    def __init__(self, *built_in: Operation[Any]) -> None:
        self._built_in = {operation.name: operation for operation in built_in}

    def __getitem__(self, name: str) -> Operation[Any]:
        return self._built_in[name] if name in self._built_in else self._plugins.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._built_in, **self._plugins.found})

    def __len__(self) -> int:
        return len(self._built_in) + len(self._plugins.found)

    @property
    def broken(self) -> Sequence[BrokenPlugin]:
        """Installed plug-ins that cannot be used."""
        return self._plugins.broken

    @cached_property
    def _plugins(self) -> Plugins[Operation[Any]]:
        return OPERATIONS.load(self._built_in)


registry = Registry(
    Inspect(),
    Thumbnail(),
    Transcode(),
    Audio(),
    Hls(),
    Waveform(),
    Storyboard(),
    Render(),
    Transcribe(),
    Detect(),
    Predict(),
)


def get(name: str) -> Operation[Any]:
    try:
        return registry[name]
    except (KeyError, TypeError):  # requests may name something that is not a string
        pass
    if any(plugin.name == name for plugin in registry.broken):
        raise UnknownOperation(f"The plug-in “{name}” cannot be used. `manage.py check` tells administrators why.")
    raise UnknownOperation(f"There is no such operation. Choose one of: {', '.join(registry)}.")
