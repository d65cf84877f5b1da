"""manage.py fsck: it compares rows with bytes, and repairs what it can."""

from collections.abc import Callable

import pytest

from tests.support.in_server import content as content_rows
from tests.support.running_servers import StartServer
from tests.support.server import Server
from tests.support.stored_file_checks import content, fsck, put_bytes, stored

Film = Callable[..., bytes]


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server()


def test_fsck_finds_all_well_where_all_is_well(server: Server, clip: bytes) -> None:
    assert fsck(server, "--deep") == (0, "0 contents checked, no problems found.\n")
    server.put("clip.mp4", clip)
    assert fsck(server, "--deep") == (0, "1 contents checked, no problems found.\n")


def test_fsck_reports_missing_bytes_and_repair_marks_them_without_losing_the_file(
    server: Server, clip: bytes
) -> None:
    file = server.put("clip.mp4", clip).json()
    path = stored(server, file)
    path.unlink()

    code, said = fsck(server)
    assert (code, said.count("bytes are missing")) == (1, 1)
    assert path.name in said
    code, said = fsck(server, "--repair")
    assert (code, "marked as lost" in said, "no problems found" in said) == (1, True, False)
    assert server.get(f"/api/v1/files/{file['id']}/", user="alice").json()["name"] == "clip.mp4"
    assert content(server, file).code == "content_unavailable"
    assert fsck(server)[0] == 1  # it is known now, and still not well

    twin = server.put("again.mp4", clip).json()  # an upload of the same bytes brings them back
    assert content(server, file).body == content(server, twin).body == clip
    assert fsck(server, "--deep")[0] == 0


def test_a_file_that_is_deleted_while_fsck_runs_is_no_problem(server: Server, clip: bytes) -> None:
    files = [server.put("clip.mp4", clip + bytes([number])).json() for number in range(3)]
    _, second, _ = sorted(files, key=lambda file: server.call(content_rows.key_of_file, file["id"]))
    assert server.call(content_rows.defects_while_a_file_is_deleted, second["id"]) == []


def test_fsck_believes_bytes_that_came_back_only_once_it_has_read_them(server: Server, clip: bytes) -> None:
    file = server.put("clip.mp4", clip).json()
    path = stored(server, file)
    path.unlink()
    assert fsck(server, "--repair")[0] == 1
    path.write_bytes(clip)

    assert fsck(server, "--repair")[0] == 1
    assert content(server, file).status != 200
    code, said = fsck(server, "--deep", "--repair")
    assert (code, "bytes are back" in said) == (0, True)
    assert content(server, file).body == clip


def test_fsck_deep_finds_damaged_bytes_which_a_look_at_sizes_does_not(server: Server, clip: bytes) -> None:
    file = server.put("clip.mp4", clip).json()
    path = stored(server, file)
    path.write_bytes(clip[:-1] + bytes([clip[-1] ^ 1]))

    assert fsck(server)[0] == 0
    code, said = fsck(server, "--deep")
    assert (code, said.count("bytes are damaged")) == (1, 1)
    assert fsck(server, "--deep", "--repair")[0] == 1
    assert content(server, file).code == "content_unavailable"  # rather nothing than something else
    assert path.exists()  # perhaps somebody can still read something from it
    server.put("again.mp4", clip)
    assert content(server, file).body == clip
    assert fsck(server, "--deep")[0] == 0


def test_fsck_finds_bytes_that_were_cut_short(server: Server, clip: bytes) -> None:
    stored(server, server.put("clip.mp4", clip).json()).write_bytes(clip[:1000])
    code, said = fsck(server)
    assert (code, "bytes are damaged" in said) == (1, True)


def test_fsck_quarantines_bytes_that_nothing_names_when_asked_and_only_old_ones(server: Server, clip: bytes) -> None:
    file = server.put("clip.mp4", clip).json()
    orphans = [put_bytes(server, f"{number}f-orphan", b"nobody's") for number in range(2)]
    code, said = fsck(server)
    assert (code, said.count("bytes without a row")) == (1, 2)
    assert server.manage("fsck", "--repair").returncode == 0  # an hour of grace: they may just be arriving
    assert all(path.exists() for path in orphans)
    assert fsck(server, "--repair")[0] == 0
    assert not any(path.exists() for path in orphans)
    assert [path.read_bytes() for path in server.quarantined()] == [b"nobody's"] * 2
    assert content(server, file).body == clip


@pytest.mark.local_disk
def test_fsck_quarantines_the_bytes_of_an_open_write_that_nothing_names(server: Server) -> None:
    (server.media / "partial").mkdir()
    (server.media / "partial" / "left").write_bytes(b"nobody's")
    assert fsck(server, "--repair")[0] == 0
    assert [path.read_bytes() for path in server.quarantined()] == [b"nobody's"]
    assert server.stored_bytes() == []


def test_fsck_removes_a_claim_nobody_finished_with_its_bytes(server: Server) -> None:
    path = put_bytes(server, "ab-claimed", b"half")
    server.call(content_rows.claim_key, "ab-claimed")
    code, said = fsck(server)
    assert (code, "abandoned claim: ab-claimed" in said) == (1, True)
    assert server.manage("fsck", "--repair").returncode == 0
    assert path.exists()
    assert fsck(server, "--repair")[0] == 0
    assert not path.exists()
    assert fsck(server) == (0, "0 contents checked, no problems found.\n")


def test_fsck_quarantines_content_that_no_file_uses(server: Server, clip: bytes, film: Film) -> None:
    used, unused = server.put("used.mp4", film()).json(), server.put("unused.mp4", clip).json()
    path = stored(server, unused)
    server.call(content_rows.delete_file_row, unused["id"])
    code, said = fsck(server)
    assert (code, "content that no file uses" in said) == (1, True)
    assert fsck(server, "--repair")[0] == 0
    assert not path.exists()
    assert [found.read_bytes() for found in server.quarantined()] == [clip]
    assert content(server, used).status == 200


def test_fsck_looks_at_nothing_on_a_disk_that_is_not_ours(server: Server, clip: bytes) -> None:
    file = server.put("clip.mp4", clip).json()
    mark = server.marker
    ours = mark.read_bytes()
    for other in (b"", b"an other disk\n"):
        mark.write_bytes(other)
        code, said = fsck(server, "--repair", "--deep")
        assert (code, "Is the disk mounted?" in said) == (1, True)
    mark.unlink()
    assert fsck(server, "--repair")[0] == 1
    mark.write_bytes(ours)
    assert fsck(server, "--deep")[0] == 0
    assert content(server, file).body == clip
