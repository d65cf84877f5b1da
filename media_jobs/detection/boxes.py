"""How boxes lie to each other."""

from .sightings import Box


def overlap(one: Box, other: Box) -> float:
    """The share of the area of both that both cover (IoU), from 0 to 1."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (one.width * one.height + other.width * other.height - common)


def distance(one: Box, other: Box) -> float:
    """From centre to centre, in widths of the larger box; its height counts where that is more."""
    across = abs(one.x + one.width / 2 - other.x - other.width / 2)
    down = abs(one.y + one.height / 2 - other.y - other.height / 2)
    size = max(one.width, other.width, one.height, other.height)
    return float((across**2 + down**2) ** 0.5 / size) if size else 0.0


def between(one: Box, other: Box, share: float) -> Box:
    """The box on the way from one to the other."""

    def middle(start: float, end: float) -> float:
        return start + (end - start) * share

    return Box(
        middle(one.x, other.x),
        middle(one.y, other.y),
        middle(one.width, other.width),
        middle(one.height, other.height),
    )


def is_near(one: Box, other: Box, tolerance: float) -> bool:
    pairs = ((one.x, other.x), (one.y, other.y), (one.width, other.width), (one.height, other.height))
    return all(abs(first - second) <= tolerance for first, second in pairs)
