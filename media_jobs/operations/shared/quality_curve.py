"""Which CRF gives a VMAF, found with few probes: pure arithmetic, the encodes are in quality_samples.py.

VMAF falls with CRF along an S: flat near 100, then steep. On a scale of log odds it is nearly straight. The search
leaps to the other side of the target by the usual slope of the codec, and interpolates between the two sides. Probes
stop when they are near the target, or near each other.
"""

from dataclasses import dataclass, field
from math import exp, log

from .codecs import VideoCodec

MOST_PROBES = 5
_NEAR_ENOUGH = 0.3  # of VMAF: samples tell it no better
_NARROW = 1.5  # CRFs: it is not worth a probe between two that are so near each other
_LONGEST_LEAP = 10.0  # the next ones may be twice as long
_WIDE, _EDGE = 6.0, 0.25  # CRFs between two probes; the share of a wider gap in which the next one is not
_FURTHER = 1.5  # than a straight line reaches, so that the target is between two probes
_TOP = 100.5  # a little above the highest VMAF, as the odds of 100 % are infinite
_USUAL = 93.0  # where VideoCodec.slope is measured


@dataclass
class QualityCurve:
    """The VMAF of each CRF that was probed."""

    codec: VideoCodec
    scores: dict[float, float] = field(default_factory=dict)

    def next_probe(self, target: float) -> float | None:
        """The CRF to probe next; None if `crf_for` knows enough."""
        if self._is_near(target):
            return None
        above, below = self._sides(target)
        if above is None or below is None:
            following = self._beyond(target)
            return None if following in self.scores else following
        if below - above <= max(self.codec.step, _NARROW):
            return None
        # Not at the edge of a wide gap: the curve may bend, and each probe would move the same end a little.
        edge = max(self.codec.step, (below - above) * _EDGE if below - above > _WIDE else 0)
        inside = self._rounded(min(max(self._between(above, below, target), above + edge), below - edge))
        return None if inside in self.scores else inside

    def crf_for(self, target: float) -> float:
        """The CRF that gives this VMAF, as far as the probes tell, or the codec's best or worst."""
        above, below = self._sides(target)
        if above is not None and below is not None:
            return self._rounded(self._between(above, below, target))
        if above is None and self.codec.best in self.scores:
            return max(filter(self.is_best, self.scores))
        return self._nearest(target) if self._is_near(target) else self._beyond(target)

    def is_best(self, crf: float) -> bool:
        """Whether a lower CRF would give no more VMAF. The VMAF of pictures that do not move ends at 97."""
        best = self.scores.get(self.codec.best)
        return crf <= self.codec.best or (best is not None and self.predict(crf) >= best - _NEAR_ENOUGH)

    def predict(self, crf: float) -> float:
        """The VMAF of a CRF, as far as the probes tell."""
        lower = max((each for each in self.scores if each <= crf), default=None)
        higher = min((each for each in self.scores if each >= crf), default=None)
        if lower is None or higher is None:
            nearest = min(self.scores, key=lambda each: abs(each - crf))
            return _score(_odds(self.scores[nearest]) + (nearest - crf) * self._slope)
        if lower == higher:
            return self.scores[lower]
        share = (crf - lower) / (higher - lower)
        return _score(_odds(self.scores[lower]) * (1 - share) + _odds(self.scores[higher]) * share)

    def _is_near(self, target: float) -> bool:
        return any(abs(score - target) <= _NEAR_ENOUGH for score in self.scores.values())

    def _sides(self, target: float) -> tuple[float | None, float | None]:
        """The highest CRF that is good enough, and the lowest beyond it that is not."""
        above = max((crf for crf, score in self.scores.items() if score >= target), default=None)
        beyond = (crf for crf in self.scores if above is None or crf > above)
        return above, min(beyond, default=None)

    def _between(self, above: float, below: float, target: float) -> float:
        highest, lowest = _odds(self.scores[above]), _odds(self.scores[below])
        return above + (below - above) * (highest - _odds(target)) / (highest - lowest)

    def _beyond(self, target: float) -> float:
        """The CRF on the other side of the target, where all probes are on one."""
        if not self.scores:
            return self._rounded(self.codec.crf["medium"] + (_odds(_USUAL) - _odds(target)) / self._slope)
        nearest = self._nearest(target)
        longest = _LONGEST_LEAP * 2 ** (len(self.scores) - 1)
        leap = (_odds(self.scores[nearest]) - _odds(target)) / self._slope
        leap *= 1 if len(self.scores) < 2 else _FURTHER
        return self._rounded(nearest + max(-longest, min(longest, leap)) + (self.codec.step if leap > 0 else 0))

    @property
    def _slope(self) -> float:
        """By how much the log odds fall for each CRF: as the probes tell, or else as is usual."""
        usual = self.codec.slope * _TOP / (_USUAL * (_TOP - _USUAL))
        if len(self.scores) < 2:
            return usual
        first, last = min(self.scores), max(self.scores)
        seen = (_odds(self.scores[first]) - _odds(self.scores[last])) / (last - first)
        return min(2 * usual, max(usual / 4, seen))

    def _nearest(self, target: float) -> float:
        return min(self.scores, key=lambda crf: (abs(self.scores[crf] - target), crf))

    def _rounded(self, crf: float) -> float:
        steps = round(crf / self.codec.step) * self.codec.step
        return float(min(self.codec.worst, max(self.codec.best, steps)))


def _odds(score: float) -> float:
    score = max(1.0, score)
    return log(score / (_TOP - score))


def _score(odds: float) -> float:
    return min(100.0, _TOP / (1 + exp(-odds)))
