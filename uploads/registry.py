"""What the rest of the house wants to happen to files. uploads calls these and does not know who fills them in."""

from collections.abc import Callable, Collection

from .models import MediaFile, Upload

# Called inside the transaction that makes a file visible: rows only, no waiting.
file_stored: list[Callable[[MediaFile], None]] = []

# Called inside the transaction that would delete a file; raise a Refusal to prevent it.
file_deleting: list[Callable[[MediaFile], None]] = []

# Called inside the transaction that ends an upload, whatever became of it.
upload_ended: list[Callable[[Upload, MediaFile | None], None]] = []

# Asked which of these keys of a sink are somebody's bytes that have no Blob yet: nobody sweeps those.
keys_in_use: list[Callable[[Collection[str]], Collection[str]]] = []
