"""When samples of pictures that were encoded in parts are decoded."""

import numpy as np
import pytest

from media_jobs.hls.decoding_times import of_part, of_whole

# Two parts of a variable rate, in decoding order: each begins with long frames that are out of order, and ends with
# short ones. An encoder decodes the second from 1600 on, and the last frame of the first at 1990.
SLOW, FAST = [0, 400, 200, 800, 600], [1000, 1030, 1010, 1020, 1040]
PARTS = np.array([*SLOW, *FAST, *(2000 + time for time in SLOW)])


def test_parts_of_a_variable_rate_do_not_overlap_when_they_are_joined() -> None:
    decoded = of_whole(PARTS)
    assert (np.diff(decoded) > 0).all()
    assert (decoded <= PARTS).all()


@pytest.mark.parametrize("presented", [[5], [0, 1, 2], [7, 9, 8], [0, 8, 4, 2, 6]])
def test_no_frame_is_decoded_after_it_is_shown(presented: list[int]) -> None:
    decoded = of_whole(np.array(presented))
    assert (decoded <= np.array(presented)).all()
    assert (np.diff(decoded) > 0).all()


def test_a_part_that_is_played_alone_is_decoded_from_its_first_frame_to_the_next_part() -> None:
    decoded, duration = of_part(np.array(SLOW), 1000)
    assert decoded[0] == 0
    assert decoded[-1] + duration[-1] == 1000
    assert (np.diff(decoded) == duration[:-1]).all()
