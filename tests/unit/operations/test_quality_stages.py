"""The progress of a transcode to a target: each phase has a share by what it costs."""

import pytest

from media_jobs.operations import get, parse
from media_jobs.operations.divisible import DivisibleOperation
from media_jobs.operations.shared.codecs import VIDEO
from media_jobs.operations.shared.quality_target import Stages


@pytest.mark.parametrize("codec", VIDEO)
def test_the_phases_of_a_long_film_follow_each_other_with_shares_by_their_cost(codec: str) -> None:
    stages = Stages.of(7200, VIDEO[codec])
    phases = [stages.search, stages.encode, stages.measure, stages.encode_again, stages.measure_again]
    assert [phases[0][0], phases[-1][1]] == [0, 1]
    assert [end for _, end in phases[:-1]] == pytest.approx([begin for begin, _ in phases[1:]])
    lengths = [end - begin for begin, end in phases]
    assert lengths[0] < 0.02
    assert lengths[2] / lengths[1] == pytest.approx(VIDEO[codec].measuring)


@pytest.mark.parametrize("codec", VIDEO)
def test_measuring_what_was_joined_has_its_share_too(codec: str) -> None:
    transcode = get("transcode")
    assert isinstance(transcode, DivisibleOperation)
    shares = [
        transcode.parts_share(parse(transcode, {"codec": codec, "quality": each})) for each in ("medium", "vmaf:93")
    ]
    assert shares == pytest.approx([0.97, 0.97 / (1 + VIDEO[codec].measuring)])
