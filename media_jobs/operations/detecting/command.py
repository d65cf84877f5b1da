"""The one run of ffmpeg that serves all detectors: filters describe the frames, and some frames are sampled."""

from collections.abc import Sequence

from ...detection.detector import FilterDetector
from ...ffmpeg.command import Command, PipeTarget, Source, Target
from ...ffmpeg.probing.media_facts import VideoStream
from ..base import Work
from ..shared.audio_filters import sound_filters
from ..shared.time_range import count_from_file, output_limit
from ..shared.video_filters import deinterlace_filters, fit_size, scale_filter, tone_map_filters
from .extent import Extent
from .frame_feeder import TIMES
from .marks import filters_of
from .parameters import DetectParams
from .span import Span

# Frames that are looked at are never enlarged. Nobody reads a plate in less, and more takes too long.
_LARGEST = (1280, 720)


def sampled_size(params: DetectParams, picture: VideoStream) -> tuple[int, int]:
    width, height = _LARGEST
    return fit_size(params.area.stream(picture), width=width, height=height)


def command_for(work: Work[DetectParams], extent: Extent, span: Span) -> Command:
    params, facts = work.params, work.main.facts
    mapped = list[str]()
    targets: list[Target | PipeTarget] = []
    if extent.picture is not None:
        sampled = _sampled(params, extent.picture) if params.lookers else []
        chain = [*filters_of(_those(params, "video")), *sampled]
        picture = ("-map", f"0:{extent.picture.index}", "-filter:v", ",".join(chain), "-fps_mode", "passthrough")
        if params.lookers:
            targets.append(PipeTarget("rawvideo", picture))
        else:
            mapped += picture
    if extent.sound is not None:
        chain = [*sound_filters(""), *filters_of(_those(params, "audio"))]
        mapped += ["-map", f"0:{extent.sound.index}", "-filter:a", ",".join(chain)]
    if mapped:
        targets.append(Target(None, mapped))
    pixels = extent.picture.pixels if extent.picture else 0
    begin = count_from_file(facts, *extent.streams)
    source = Source(work.main.path, facts.format, (*begin, *span.options), pixels)
    longest = span.begin + output_limit(extent.seconds(span))  # times are those of the file
    filter_threads = None if params.lookers else 1
    return Command([source], targets, threads=work.threads, filter_threads=filter_threads, max_duration=longest)


def _those(params: DetectParams, media: str) -> Sequence[FilterDetector]:
    return [detector for detector in params.filters if detector.media == media]


def _sampled(params: DetectParams, picture: VideoStream) -> list[str]:
    """Filters that choose frames, make them small, and write down when they are shown."""
    rate = f"{params.max_fps:g}"
    in_time = f"(isnan(prev_selected_t)+gt(round(t*{rate}),round(prev_selected_t*{rate})))"
    nth = f"not(mod(n,{params.frame_skip}))*" if params.frame_skip > 1 else ""
    area = params.area.stream(picture)
    return [
        *deinterlace_filters(picture),
        f"select='{nth}{in_time}'",
        *params.area.filters,
        scale_filter(area, sampled_size(params, picture)),
        *tone_map_filters(picture),
        "format=bgr24",
        "metadata=mode=add:key=at:value=1",  # frames without metadata are not printed
        f"metadata=mode=print:key=at:file={TIMES}:direct=1",
    ]
