"""What the rest of the house wants to happen to files. uploads calls these and does not know who fills them in."""

from collections.abc import Callable

from .models import MediaFile

# Called inside the transaction that makes a file visible: rows only, no waiting.
file_stored: list[Callable[[MediaFile], None]] = []

# Called inside the transaction that would delete a file; raise a Refusal to prevent it.
file_deleting: list[Callable[[MediaFile], None]] = []
