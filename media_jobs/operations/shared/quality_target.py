"""Encodes to a VMAF: search the CRF by samples, encode, measure the whole, and correct the CRF once if it missed."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import BadMedia
from ...ffmpeg.command import Source
from ..base import Work
from .codecs import VideoCodec
from .quality_curve import MOST_PROBES, QualityCurve
from .quality_measure import Comparison, Excerpt, measure, model_for, step_for
from .quality_samples import Prober, samples_of
from .video_plan import VideoPlan

_USUAL_PROBES = 4
TOLERANCE = 1.0  # a result that misses by more is encoded again
_UNBELIEVABLE = -25.0  # samples do not err so much: the frames of a damaged source could not be paired
Share = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Stages:
    """The shares of a job's progress. The last tenth is for a second encode, which few need."""

    search: Share
    encode: Share
    measure: Share
    encode_again: Share = (0.9, 0.97)
    measure_again: Share = (0.97, 1.0)

    @classmethod
    def of(cls, length: float, codec: VideoCodec) -> "Stages":
        search = _USUAL_PROBES * min(12.0, length) * (1 + codec.measuring)
        encode, measuring = length, length * codec.measuring
        unit = 0.9 / (search + encode + measuring)
        return cls((0.0, search * unit), (search * unit, (search + encode) * unit), ((search + encode) * unit, 0.9))


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured at a finished video."""

    vmaf: float
    target: float
    crf: float
    model: str
    encodes: int  # 2: the first one missed
    limit: str  # "best" or "worst": no better, or no worse, CRF is left that might reach the target

    def message(self, codec: str) -> str:
        match self.limit:
            case "best":
                return f"{codec} reaches no more than VMAF {self.vmaf:.1f} with this video, at CRF {self.crf:g}."
            case "worst":
                return f"This video has VMAF {self.vmaf:.1f} even at the highest CRF of {codec}, {self.crf:g}."
        missed = f", the target was {self.target:g}" if abs(self.vmaf - self.target) > TOLERANCE else ""
        return f"VMAF {self.vmaf:.1f} at CRF {self.crf:g}{missed}."

    @property
    def figures(self) -> dict[str, Any]:
        return asdict(self) | {"vmaf": round(self.vmaf, 2)}


class QualityTarget:
    """`whole` is all of the source that is encoded."""

    def __init__(self, work: Work[Any], plan: VideoPlan, whole: Excerpt) -> None:
        assert plan.params.vmaf is not None
        self._work, self._plan, self._whole, self.vmaf = work, plan, whole, plan.params.vmaf
        self._codec = plan.picture.codec
        self._prober = Prober(work, plan, samples_of(work, plan, whole))
        self._curve = QualityCurve(self._codec, self._prober.known())

    @property
    def stages(self) -> Stages:
        return Stages.of(self._whole.seconds or 60.0, self._codec)

    def search(self, share: Share = (0.0, 0.0)) -> float:
        """The CRF that gives the target by samples."""
        step = (share[1] - share[0]) / MOST_PROBES
        for number in range(MOST_PROBES):
            crf = self._curve.next_probe(self.vmaf)
            if crf is None:
                break
            begin = share[0] + number * step
            self._probe(crf, (begin, begin + step))
        return self._curve.crf_for(self.vmaf)

    def _probe(self, crf: float, share: Share) -> None:
        score = self._prober.probe(crf, share, f"{self._found}, trying CRF {crf:g}:")
        self._curve.scores[crf] = score
        self._prober.keep(self._curve.scores)
        self._work.tools.report(f"Searching quality: VMAF {score:.1f} at CRF {crf:g}", share[1])

    @property
    def _found(self) -> str:
        scores = self._curve.scores
        if not scores:
            return "Searching quality"
        last = next(reversed(scores))
        return f"Searching quality: VMAF {scores[last]:.1f} at CRF {last:g}"

    def measure(self, path: Path, crf: float, share: Share, encodes: int = 1) -> Quality:
        """Measure the finished video."""
        picture, threads = self._plan.picture, self._work.threads
        frames = self._plan.frames or (self._whole.seconds or 0) * (picture.rate or 25)
        comparison = Comparison(model_for(picture.size), threads, step_for(frames))
        made = Source(path, self._plan.container.demuxer)
        pixels = picture.stream.pixels
        vmaf = measure(self._work.tools, self._work.main, made, self._whole, comparison, pixels=pixels, share=share)
        if vmaf is None:
            raise BadMedia("The quality of the result cannot be measured: it has no frames.")
        return Quality(vmaf, self.vmaf, crf, comparison.model, encodes, self._limit(vmaf, crf))

    def _limit(self, vmaf: float, crf: float) -> str:
        if vmaf < self.vmaf - TOLERANCE and self._curve.is_best(crf):
            return "best"
        return "worst" if vmaf > self.vmaf + TOLERANCE and crf >= self._codec.worst else ""

    def correction(self, quality: Quality) -> float | None:
        """Another CRF if this quality misses the target: the samples erred by what the whole differs from them."""
        error = quality.vmaf - self._curve.predict(quality.crf)
        if quality.limit or abs(quality.vmaf - self.vmaf) <= TOLERANCE or error < _UNBELIEVABLE:
            return None
        corrected = self._curve.crf_for(self.vmaf - error)
        return corrected if corrected != quality.crf else None
