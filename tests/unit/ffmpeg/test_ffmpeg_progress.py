"""Parsing ffmpeg's progress, and the reports made from it."""

from collections.abc import Iterator

import pytest

from media_jobs.ffmpeg.progress import Block, Meter, Parser, Report, clock_time, duration_text


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def reports(meter: Meter, clock: Clock, blocks: list[Block], every: float = 1.0) -> Iterator[Report]:
    for block in blocks:
        clock.now += every
        yield meter.report(block)


def blocks(*lines: str) -> list[Block]:
    parser = Parser()
    return [block for line in lines if (block := parser.feed(line))]


def test_a_block_ends_with_its_line_progress() -> None:
    [first, last] = blocks(
        "frame=50", "fps=0.00", "total_size=123", "out_time_us=2000000", "out_time_ms=2000000", "speed=  72x",
        "progress=continue", "frame=75", "out_time_us=3000000", "speed=1.5e+03x", "progress=end",
    )  # fmt: skip
    assert first == Block(2.0, 50, 123, 72.0, False)
    assert last == Block(3.0, 75, None, 1500.0, True)


def test_out_time_ms_holds_microseconds() -> None:
    assert blocks("out_time_ms=2500000", "progress=continue")[0].seconds == 2.5


@pytest.mark.parametrize("value", ["N/A", "", "-", "seven", "nan", "inf", "-inf"])
def test_what_is_not_known_is_none(value: str) -> None:
    lines = [f"{key}={value}" for key in ("frame", "out_time_us", "out_time_ms", "total_size", "speed")]
    assert blocks(*lines, "progress=continue") == [Block()]


def test_a_time_before_the_start_is_the_start() -> None:
    assert blocks("out_time_us=-40000", "progress=continue")[0].seconds == 0.0


def test_frames_are_counted_where_their_number_is_known() -> None:
    clock = Clock()
    meter = Meter(seconds=80, frames=2000, clock=clock)
    [report] = reports(meter, clock, [Block(seconds=18.0, frames=500)], every=10)
    assert report.message == "Encoded 500 of 2000 frames (1.8x)"
    assert report.progress == 0.25
    assert report.speed == pytest.approx(1.8)
    assert report.eta_seconds == pytest.approx(30)


def test_the_time_is_reported_if_the_number_of_frames_is_unknown() -> None:
    clock = Clock()
    [report] = reports(Meter(seconds=120, clock=clock, verb="Measured"), clock, [Block(seconds=12.0)], every=5)
    assert report.message == "Measured 0:12 of 2:00 (2.4x)"
    assert report.progress == 0.1


def test_without_a_known_end_only_the_time_so_far_is_told() -> None:
    clock = Clock()
    [report] = reports(Meter(clock=clock), clock, [Block(seconds=12.0)], every=12)
    assert report == Report("Encoded 0:12 (1.0x)", None, 1.0, None)


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (Block(seconds=18.0, frames=500), "Waiting for ffmpeg, no progress for 4 s: Encoded 500 of 2000 frames"),
        (Block(seconds=80.0, frames=1999), "Finishing, no progress for 4 s: Encoded 1999 of 2000 frames"),
    ],
)
def test_a_report_says_that_there_is_no_progress(block: Block, says: str) -> None:
    clock = Clock()
    meter = Meter(seconds=80, frames=2000, clock=clock)
    [before] = reports(meter, clock, [block], every=10)
    assert meter.silence(block, 4.7) == Report(says, before.progress)


def test_progress_never_goes_back_and_stays_below_one() -> None:
    clock = Clock()
    far = [1.0, 5.0, 3.0, None, 9.99, 15.0]
    said = [r.progress or 0 for r in reports(Meter(seconds=10, clock=clock), clock, [Block(seconds=s) for s in far])]
    assert said == sorted(said)
    assert 0.99 < said[-1] < 1


def test_one_pass_is_a_share_of_the_whole_progress() -> None:
    clock = Clock()
    meter = Meter(seconds=10, share=(0.5, 1.0), clock=clock)
    [before, after] = reports(meter, clock, [Block(seconds=0.0), Block(seconds=5.0)])
    assert (before.progress, after.progress) == (0.5, 0.75)
    [only] = reports(Meter(seconds=10, share=(0.0, 0.5), clock=clock), clock, [Block(seconds=5.0)])
    assert only.progress == 0.25
    assert only.eta_seconds == pytest.approx(3)


def test_the_start_of_ffmpeg_does_not_count_in_the_remaining_time() -> None:
    """Reports of a steady encode of 8 s that begins late: the frames written so far, twice a second."""
    clock = Clock()
    frames = [0, 9, *range(59, 600, 40)]
    [*_, half] = reports(
        Meter(seconds=20, frames=600, clock=clock), clock, [Block(n / 30, n) for n in frames[:9]], 0.5
    )
    assert half.progress == pytest.approx(0.5, abs=0.05)
    assert half.eta_seconds == pytest.approx((600 - frames[8]) / 40 * 0.5, rel=0.1)


def test_one_slow_moment_does_not_upset_the_remaining_time() -> None:
    clock = Clock()
    steady = [Block(seconds=float(n)) for n in range(1, 21)]
    meter = Meter(seconds=100, clock=clock)
    calm = list(reports(meter, clock, steady))[-1].eta_seconds
    [stumble] = reports(meter, clock, [Block(seconds=20.1)])
    assert calm == pytest.approx(80)
    assert stumble.eta_seconds == pytest.approx(100, rel=0.1)


def test_a_run_without_progress_at_its_end_has_no_remaining_time() -> None:
    """At 99.9 % for five minutes, the rate falls towards zero, and the remaining time would overflow an integer."""
    clock = Clock()
    meter = Meter(seconds=10, clock=clock)
    standing = [Block(seconds=10.0)] * 600
    etas = [said.eta_seconds for said in reports(meter, clock, [Block(seconds=5.0), *standing], 0.5)]
    assert all(eta is None or 0 <= eta <= 30 * 86400 for eta in etas)
    assert etas[0] == pytest.approx(0.5)
    assert etas[-1] is None


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (12.9, "0:12"), (120, "2:00"), (3723, "1:02:03")])
def test_times_are_written_as_players_do(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 second"), (90, "90 seconds"), (120, "2 minutes"), (3600, "60 minutes"), (86_397, "24 hours")],
)
def test_durations_are_written_in_words(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
