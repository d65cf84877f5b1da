"""MILLRACE_MAX_FILE_SIZE=none: a file may have what the disk and quotas allow."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.admin_client import Browser
from tests.support.running_servers import running
from tests.support.server import Server, Template, form_end, form_part
from tests.support.tus_client import Client

HUGE = [2**53 + 1, 2**63, 10**30]


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, MAX_FILE_SIZE="none") as started:
        yield started


def test_files_come_by_every_entrance(server: Server, film: Callable[..., bytes]) -> None:
    assert server.put("a.mp4", film()).status == 201
    assert server.put("b.mp4", iter([film()]), chunked=True).status == 201
    assert server.post_form(form_part("file", film(), "c.mp4") + form_end()).status == 201
    tus = Client(server)
    content = film()
    path = tus.new(len(content))
    tus.finish(path, content)
    assert tus.is_complete(path, content)


def test_programs_and_people_are_told_that_there_is_no_limit(server: Server) -> None:
    assert server.get("/api/v1/me/", user="alice").json()["uploads"]["max_file_size"] is None
    for user in ("alice", None):
        said = server.request("OPTIONS", "/api/v1/uploads/", user=user)
        assert (said.status, said.headers["Tus-Max-Size"]) == (204, None)
    staff = Browser(server)
    staff.sign_in("admin")
    page = staff.request("GET", "/admin/uploads/mediafile/add/").body.decode()
    assert ("Upload files" in page, "At most" in page) == (True, False)
    assert "than the largest file" not in staff.request("GET", "/admin/").body.decode()


@pytest.mark.parametrize("size", HUGE)
def test_a_size_that_no_disk_has_is_refused_and_breaks_nothing(size: int, server: Server) -> None:
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size)}
    assert server.request("POST", "/api/v1/uploads/", None, tus).status in {400, 413}
    head = (
        "PUT /api/v1/upload/a.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {server.tokens['alice']}\r\nContent-Length: {size}\r\n\r\n"
    )
    assert server.raw(head.encode()).split()[1] == b"413"
    assert server.request("GET", "/readyz", user=None).status == 200


@pytest.mark.local_disk
def test_more_than_the_disk_has_is_refused_for_that(server: Server) -> None:
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(2**50)}
    assert server.request("POST", "/api/v1/uploads/", None, tus).code == "insufficient_storage"
