"""The search in a buffer finds what `bytes.find` finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uploads.http import multipart
from uploads.http.multipart import find

few = st.text("\r\n-b", max_size=60).map(str.encode)


@settings(deadline=None)
@given(few, few.filter(bool), st.integers(0, 9))
def test_a_view_is_searched_as_bytes_are(content: bytes, wanted: bytes, skipped: int) -> None:
    expected = content[skipped:].find(wanted)
    assert find(wanted, content[skipped:]) == expected
    assert find(wanted, memoryview(bytearray(content))[skipped:]) == expected


def test_nothing_behind_a_view_is_found() -> None:
    assert find(b"film", memoryview(bytearray(b"a film"))[:5]) == -1


def test_a_buffer_is_free_again_after_a_search() -> None:
    buffer = bytearray(b"a film")
    assert find(b"film", memoryview(buffer)) == 2
    buffer.clear()  # fails as long as somebody points into it


def test_a_system_without_memmem_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "_memmem", None)
    assert find(b"film", memoryview(bytearray(b"a film"))) == 2
    assert find(b"film", b"a film") == 2
    assert find(b"films", b"a film") == -1
