"""The admin pages of uploads, and ending an upload there."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from tests.support.admin_client import Browser, signed_in
from tests.support.running_servers import running
from tests.support.server import Server, Template, query
from tests.support.tus_client import Client
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory) as server:
        yield server


@pytest.fixture
def operator(server: Server) -> Browser:
    return signed_in(server, "operator")


def begun(server: Server, clip: bytes) -> str:
    """The id of an upload of which half has come."""
    client = Client(server)
    url = client.new(len(clip))
    client.patch(url, 0, clip[: len(clip) // 2])
    return url.rpartition("/")[2]


def history(server: Server, pk: str) -> list[tuple[str, str]]:
    """What was done to it, and by whom."""
    all_of_it = query(
        server,
        "SELECT object_id, change_message, username FROM django_admin_log"
        " JOIN auth_user ON user_id = auth_user.id ORDER BY action_time",
    )
    return [(said, who) for subject, said, who in all_of_it if subject == pk]


def test_an_operator_ends_an_upload_and_nothing_of_it_is_left(server: Server, operator: Browser, clip: bytes) -> None:
    before = server.stored_bytes()
    pk = begun(server, clip)
    page = f"/admin/uploads/upload/{pk}/"
    assert "End, and delete" in operator.request("GET", f"{page}change/").body.decode()
    assert operator.post(f"{page}end/").status == 302
    assert "terminated" in operator.request("GET", f"{page}change/").body.decode()
    assert server.stored_bytes() == before
    assert history(server, pk) == [("Ended. In the admin from 127.0.0.1.", "operator")]


def test_ending_it_twice_is_refused_in_words(server: Server, operator: Browser, clip: bytes) -> None:
    pk = begun(server, clip)
    end = f"/admin/uploads/upload/{pk}/end/"
    operator.post(end)
    assert operator.post(end).status == 302
    page = operator.request("GET", f"/admin/uploads/upload/{pk}/change/").body.decode()
    assert "End, and delete" not in page
    assert len(history(server, pk)) == 1


def test_a_viewer_may_look_and_not_end(server: Server, clip: bytes) -> None:
    pk = begun(server, clip)
    browser = signed_in(server, "viewer")
    page = f"/admin/uploads/upload/{pk}/"
    assert "End, and delete" not in browser.request("GET", f"{page}change/").body.decode()
    assert browser.post(f"{page}end/").status == 403
    assert Client(server).offset(f"/api/v1/uploads/{pk}") == len(clip) // 2


def test_of_many_each_is_ended_that_can_be_and_one_message_says_what_became_of_them(
    server: Server, operator: Browser, clip: bytes
) -> None:
    assert server.put("words.mp4", b"no film").status == 415
    [(found,)] = query(server, "SELECT id FROM uploads_upload WHERE name = 'words.mp4'")
    at_once = str(UUID(str(found)))
    open_one, ended_one = begun(server, clip), begun(server, clip)
    operator.post(f"/admin/uploads/upload/{ended_one}/end/")
    operator.request("GET", "/admin/uploads/upload/")  # the message of that
    chosen = [("_selected_action", pk) for pk in (open_one, ended_one, at_once)]
    assert operator.post("/admin/uploads/upload/", [("action", "end_selected"), *chosen]).status == 302
    said = operator.request("GET", "/admin/uploads/upload/").body.decode()
    assert "1 ended, 1 had already ended, 1 cannot be ended." in said
    assert (
        history(server, open_one)
        == history(server, ended_one)
        == [("Ended. In the admin from 127.0.0.1.", "operator")]
    )
    assert history(server, at_once) == []


def test_the_live_answer_says_how_far_it_is_and_how_many_are_new(
    server: Server, operator: Browser, clip: bytes
) -> None:
    before = operator.request("GET", "/admin/uploads/upload/").body.decode()
    since = before.partition('data-since="')[2].partition('"')[0]
    pk = begun(server, clip)
    asked = urlencode([("id", pk), ("id", "no-id"), ("since", since)])

    def live() -> Any:
        return json.loads(operator.request("GET", f"/admin/uploads/upload/live/?{asked}").body)

    wait_until(lambda: 0.4 < live()["rows"][pk]["progress"] < 0.6)
    said = live()
    assert (said["rows"][pk]["state"], said["rows"][pk]["active"], said["new"]) == ("receiving", True, 0)
    begun(server, clip)
    assert live()["new"] == 1
