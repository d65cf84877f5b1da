"""The search for the CRF of a VMAF, on made-up encoders."""

from collections.abc import Callable
from itertools import product
from math import exp

import pytest

from media_jobs.operations.shared.codecs import VIDEO
from media_jobs.operations.shared.quality_curve import MOST_PROBES, QualityCurve

Encoder = Callable[[float], float]


def falling(middle: float, steepness: float) -> Encoder:
    """From nearly 100 to nearly 0, bent at both ends, as VMAF falls with CRF."""
    return lambda crf: 100 / (1 + exp((crf - middle) / steepness))


def bending(begin: float, steepness: float) -> Encoder:
    """Level at first, then falling ever faster."""
    return lambda crf: max(1.0, 99 - steepness * max(0.0, crf - begin) ** 1.5)


def searched(codec: str, encoder: Encoder, target: float) -> tuple[float, QualityCurve]:
    curve = QualityCurve(VIDEO[codec])
    for _ in range(MOST_PROBES):
        if (crf := curve.next_probe(target)) is None:
            break
        assert crf not in curve.scores
        curve.scores[crf] = encoder(crf)
    return curve.crf_for(target), curve


ENCODERS = [
    *(falling(*shape) for shape in product([30, 40, 50], [3, 5, 8])),
    *(bending(*shape) for shape in product([5, 15, 30], [0.1, 0.3])),
]


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("codec", ["h264", "av1"])
@pytest.mark.parametrize("target", [60, 85, 90, 95])
def test_five_probes_find_a_target_within_reach(codec: str, target: float, encoder: Encoder) -> None:
    limits = VIDEO[codec]
    crf, _ = searched(codec, encoder, target)
    if encoder(limits.worst) > target:
        assert crf == limits.worst
    elif encoder(limits.best) < target:
        assert crf == limits.best
    else:
        step = encoder(crf - limits.step / 2) - encoder(crf + limits.step / 2)
        assert encoder(crf) == pytest.approx(target, abs=0.7 + step / 2)


@pytest.mark.parametrize(
    ("encoder", "crf"),
    [
        (lambda crf: 50 - crf, 1),
        (lambda crf: 100 - crf / 100, 51),
        (lambda crf: 90 - max(0.0, crf - 20), 17),  # a lower CRF would only make the file larger
    ],
)
def test_a_target_out_of_reach_ends_at_the_end_of_the_scale(encoder: Encoder, crf: float) -> None:
    found, curve = searched("h264", encoder, 93)
    assert curve.next_probe(93) is None
    assert found == pytest.approx(crf, abs=4)


def test_known_probes_are_not_made_again() -> None:
    _, curve = searched("h264", falling(40, 5), 90)
    before = dict(curve.scores)
    assert curve.next_probe(90) is None
    assert (curve.next_probe(60) or 0) > max(before)


def test_a_curve_that_rises_in_between_ends_the_search() -> None:
    crf, curve = searched("av1", lambda crf: 93 + (crf % 2) * 2 - (crf - 35) / 4, 93)
    assert len(curve.scores) <= MOST_PROBES
    assert VIDEO["av1"].best <= crf <= VIDEO["av1"].worst
