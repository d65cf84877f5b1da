"""Time codes of parts: which label the first frame has."""

import pytest

from media_jobs.operations.shared.timecode import Timecode, timecode_of_part


@pytest.mark.parametrize(
    ("text", "source_rate", "start", "rate", "found"),
    [
        ("01:00:00:00", 25, 0, 25, "01:00:00:00"),
        ("01:00:00:10", 25, 0.5, 25, "01:00:00:23"),  # the first frame at or after 0.5 s is number 13
        ("01:00:00:10", 25, -0.2, 25, "01:00:00:10"),  # the picture begins later than the file
        ("10:11:12:13", 23.976, 3600 * 1001 / 1000, 23.976, "11:11:12:13"),
        ("23:59:59:24", 25, 0.04, 25, "00:00:00:00"),
        ("01:00:00:12", 25, 0, 50, "01:00:00:24"),
        ("00:00:59;29", 29.97, 1 / 29.97, 29.97, "00:01:00;02"),  # 00 and 01 are left out
        ("00:09:59;29", 29.97, 1 / 29.97, 29.97, "00:10:00;00"),
        ("00:00:00;00", 29.97, 3600, 29.97, "01:00:00;00"),
        ("00:00:59;59", 59.94, 1 / 59.94, 59.94, "00:01:00;04"),
        ("00:01:00;02", 29.97, 0, 25, "00:01:00:01"),
        ("01:00:00:25", 25, 0, 25, ""),
        ("24:00:00:00", 25, 0, 25, ""),
        ("midnight", 25, 0, 25, ""),
        ("", 25, 0, 25, ""),
    ],
)
def test_a_part_has_the_time_code_of_its_first_frame(
    text: str, source_rate: float, start: float, rate: float, found: str
) -> None:
    assert timecode_of_part(text, source_rate, start, rate) == found


@pytest.mark.parametrize("rate", [29.97, 59.94])
def test_each_frame_has_a_label_of_its_own_that_leads_back_to_it(rate: float) -> None:
    nominal = round(rate)
    labels = {Timecode(number, nominal, True).text(rate): number for number in range(0, nominal * 60 * 21, 7)}
    assert len(labels) == len(range(0, nominal * 60 * 21, 7))
    for label, number in labels.items():
        assert Timecode.parse(label, rate) == Timecode(number, nominal, True)
