"""Why a file is not packaged on the fly."""


class Unsuitable(Exception):
    """The file cannot be played as it is. The message completes the sentence "It must be encoded: …"."""
