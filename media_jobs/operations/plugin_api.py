"""What packages with operations of their own may import. Names in this module stay; others may change at any time.

docs/plugins.md describes them.
"""

from ..errors import BadMedia, Failure, OutputInvalid, ToolFailed, UnfitMedia
from ..ffmpeg.command import Command, Source, Target
from ..ffmpeg.probing.media_facts import AudioStream, Chapter, Facts, SubtitleStream, VideoStream
from ..ffmpeg.probing.verification import Expected
from .base import BULK, HEAVY, QUICK, Input, Operation, Outcome, Output, Params, Tools, Work
from .shared.parameters import Bitrate, End, ParameterError, Seconds, Start
from .shared.time_range import TimeRange

__all__ = [
    "BULK",
    "HEAVY",
    "QUICK",
    "AudioStream",
    "BadMedia",
    "Bitrate",
    "Chapter",
    "Command",
    "End",
    "Expected",
    "Facts",
    "Failure",
    "Input",
    "Operation",
    "Outcome",
    "Output",
    "OutputInvalid",
    "ParameterError",
    "Params",
    "Seconds",
    "Source",
    "Start",
    "SubtitleStream",
    "Target",
    "TimeRange",
    "ToolFailed",
    "Tools",
    "UnfitMedia",
    "VideoStream",
    "Work",
]
