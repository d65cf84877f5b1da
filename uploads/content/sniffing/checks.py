"""What a row of the table may ask for besides its magic, whatever the format."""

from collections.abc import Callable

Check = Callable[[bytes], bool]


def always(head: bytes) -> bool:
    return True


def holds(mark: bytes) -> Check:
    return lambda head: mark in head


def starts(*forms: bytes) -> Check:
    """For files whose first word says how they are packed, and only a later one what they are."""
    return lambda head: head.startswith(forms)
