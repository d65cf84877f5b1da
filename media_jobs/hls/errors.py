"""Why a file is not packaged on the fly."""


class Unsuitable(Exception):
    """The file cannot be played as it is. The message completes the sentence "It must be encoded: …"."""


class CopyHelps(Unsuitable):
    """Only its container, or its sound, is the reason: the picture may be fit to be copied by ffmpeg."""
