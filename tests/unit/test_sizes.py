import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.text.sizes import parse_size, write_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 KB"),
        (1024, "1 KiB"),
        (500_000_000, "500 MB"),
        (1_500_000_000, "1.5 GB"),
        (10 * 1024**3, "10 GiB"),
        (2 * 10**12, "2 TB"),
        (1_234_567, "1234567"),
    ],
)
def test_a_size_is_written_in_the_largest_unit_that_is_exact(size: int, text: str) -> None:
    assert write_size(size) == text


@given(st.integers(0, 2**63) | st.integers(0, 2**20).map(lambda number: number * 10**9))
def test_what_is_written_is_read_as_the_same_size(size: int) -> None:
    assert parse_size(write_size(size)) == size


@pytest.mark.parametrize("text", ["", "-1", "ten", "1e9", "1,5 MB", "inf", "5 parsecs", "9" * 5000, "٣ GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # of whichever text: it is shown to nobody
        parse_size(text)
