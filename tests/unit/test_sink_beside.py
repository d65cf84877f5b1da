"""What every Sink keeps beside its content: sidecars, and a quarantine; asked of each sink as its contract is."""

from pathlib import Path

import pytest

from tests.support.sinks import ANOTHER, KEY, KINDS, NOWHERE, keep, listed, make_sink, read, write
from uploads.sinks.base import NoSuchKey, Quarantined, SinkError
from uploads.sinks.local.sink import LocalSink
from uploads.sinks.resumable import ResumableSink

A_SIDECAR = f"{KEY}.11111111-0000-4000-8000-000000000001"
ANOTHER_SIDECAR = f"{KEY}.11111111-0000-4000-8000-000000000002"


@pytest.fixture(params=KINDS[:2])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> ResumableSink:
    return make_sink(request.param, tmp_path / "media")


def in_quarantine(sink: ResumableSink) -> set[tuple[str, int, str, bool]]:
    return {(found.key, found.size, found.reason, found.partial) for found in sink.quarantine.entries()}


def test_a_sidecar_is_read_back_replaced_and_deleted(sink: ResumableSink) -> None:
    for content in (b"{}", b'{"name": "film.mp4"}'):
        sink.sidecars.write(A_SIDECAR, content)
        assert sink.sidecars.read(A_SIDECAR) == content
    sink.sidecars.delete(A_SIDECAR)
    sink.sidecars.delete(A_SIDECAR)
    with pytest.raises(NoSuchKey):
        sink.sidecars.read(A_SIDECAR)


def test_sidecars_are_found_by_their_key_and_all_together(sink: ResumableSink) -> None:
    other = f"{NOWHERE}.11111111-0000-4000-8000-000000000003"
    assert (sink.sidecars.of([KEY]), list(sink.sidecars.names())) == (set(), [])
    for name in (A_SIDECAR, ANOTHER_SIDECAR, other):
        sink.sidecars.write(name, b"{}")
    assert sink.sidecars.of([KEY, ANOTHER]) == {A_SIDECAR, ANOTHER_SIDECAR}
    assert sink.sidecars.of([KEY, NOWHERE]) == set(sink.sidecars.names()) == {A_SIDECAR, ANOTHER_SIDECAR, other}
    assert listed(sink) == set()  # they are no content


def test_bytes_in_quarantine_are_out_of_the_way_and_come_back_as_they_were(sink: ResumableSink) -> None:
    keep(sink, KEY, b"whole")
    write(sink.create_resumable(ANOTHER), b"half").close()
    sink.quarantine.put(KEY, "unknown")
    sink.quarantine.put(ANOTHER, "unused")
    sink.quarantine.put(NOWHERE, "unknown")  # there is nothing, and that is no error
    assert (listed(sink), sink.size(KEY)) == (set(), None)
    assert in_quarantine(sink) == {(KEY, 5, "unknown", False), (ANOTHER, 4, "unused", True)}

    for found in list(sink.quarantine.entries()):
        sink.quarantine.take_back(found)
    assert (read(sink, KEY), sink.offset(ANOTHER), in_quarantine(sink)) == (b"whole", 4, set())


def test_nothing_is_overwritten_by_what_comes_back(sink: ResumableSink) -> None:
    keep(sink, KEY, b"first")
    sink.quarantine.put(KEY, "unknown")
    [found] = sink.quarantine.entries()
    keep(sink, KEY, b"second")
    with pytest.raises(SinkError):
        sink.quarantine.take_back(found)
    assert (read(sink, KEY), in_quarantine(sink)) == (b"second", {(KEY, 5, "unknown", False)})


def test_what_is_purged_is_gone_for_good(sink: ResumableSink) -> None:
    keep(sink, KEY, b"bytes")
    sink.quarantine.put(KEY, "unknown")
    [found] = sink.quarantine.entries()
    for _ in range(2):
        sink.quarantine.purge(found)
    assert in_quarantine(sink) == set()
    with pytest.raises(NoSuchKey):
        sink.quarantine.take_back(found)


@pytest.mark.parametrize("holds", ["content", "an open write", "a sidecar", "something in quarantine"])
def test_a_sink_is_empty_only_if_there_is_nothing_to_lose(sink: ResumableSink, holds: str) -> None:
    assert sink.is_empty()
    sink.set_identity("a mark alone")
    assert sink.is_empty()
    match holds:
        case "content":
            keep(sink, KEY, b"bytes")
        case "an open write":
            write(sink.create_resumable(KEY), b"bytes").close()
        case "a sidecar":
            sink.sidecars.write(A_SIDECAR, b"{}")
        case _:
            keep(sink, KEY, b"bytes")
            sink.quarantine.put(KEY, "unknown")
    assert not sink.is_empty()


def test_on_a_disk_both_are_private_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    disk = LocalSink(tmp_path)
    keep(disk, KEY, b"bytes")
    disk.sidecars.write(A_SIDECAR, b"{}")
    disk.quarantine.put(KEY, "unknown")
    assert {path.stat().st_mode & 0o077 for path in tmp_path.rglob("*")} == {0}
    (tmp_path / "quarantine" / "a note of the administrator").write_text("keep these")
    (tmp_path / "meta" / "lost+found").mkdir()
    (tmp_path / "meta" / KEY[:2] / ".half-written.half").write_text("cut off by a crash")
    assert in_quarantine(disk) == {(KEY, 5, "unknown", False)}
    assert list(disk.sidecars.names()) == [A_SIDECAR]


def test_a_name_in_quarantine_says_all_that_is_known(tmp_path: Path) -> None:
    disk = LocalSink(tmp_path)
    keep(disk, f"{KEY}.0", b"made by a job")  # keys of attempts have a dot
    disk.quarantine.put(f"{KEY}.0", "unknown")
    [name] = (path.name for path in (tmp_path / "quarantine").iterdir())
    [found] = disk.quarantine.entries()
    assert found == Quarantined.parse(name, 13)
    assert (found.key, found.name) == (f"{KEY}.0", name)
