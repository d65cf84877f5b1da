"""What sniffing answers with, and how much of a file it asks for."""

from dataclasses import dataclass
from enum import StrEnum

HEAD_SIZE = 65536
"""How many bytes of the beginning a decision may need; fewer only when the content is shorter."""


class Kind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    SUBTITLE = "subtitle"


@dataclass(frozen=True, slots=True)
class MediaType:
    kind: Kind
    name: str
