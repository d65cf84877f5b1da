"""Which media are taken: a list of kinds (`video`) and media types (`video/mp4`). `video/*` means the kind."""

from . import MEDIA_TYPES, Kind, MediaType

Accepted = frozenset[str]


def parse_accept(raw: str) -> Accepted | None:
    """None takes any content. ValueError names a word that content can never be found to be."""
    if raw == "*":
        return None
    return frozenset(_parse(word) for word in map(str.strip, raw.lower().split(",")) if word)


def _parse(word: str) -> str:
    kind = word.removesuffix("/*")
    if kind in {each.value for each in Kind}:
        return Kind(kind)
    if word not in MEDIA_TYPES:
        alike = sorted(name for name in MEDIA_TYPES if name.startswith(f"{word.partition('/')[0]}/"))
        known = ", ".join(alike or sorted(Kind))
        raise ValueError(f"{word!r} is no kind or media type that is told from content; there are: {known}")
    return word


def is_accepted(media: MediaType | None, accepted: Accepted) -> bool:
    return media is not None and not accepted.isdisjoint({media.kind, media.name})
