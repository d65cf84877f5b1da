"""Every change through the API leaves a line in the audit log: who, what, to what, with which token, from where."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client as DjangoClient

from tests.support.admin_client import signed_in
from tests.support.api_endpoints import CHANGING, endpoints
from tests.support.in_server import jobs as job_rows
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, form_end, form_part, query
from tests.support.tus_client import Client
from uploads import audit_log
from uploads.audit_log import Actor

JSON = {"Content-Type": "application/json"}
SRT = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n"
NAMES = ("boss", "bob", "idle")
HOW = "Through the API with token “test” from 127.0.0.1."


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def house(server: Server, clip: bytes) -> "House":
    return House(server, clip)


def entries(server: Server) -> list[tuple[Any, ...]]:
    return query(
        server,
        "SELECT username, model, object_repr, change_message FROM django_admin_log log JOIN auth_user account"
        " ON account.id = log.user_id JOIN django_content_type kind ON kind.id = log.content_type_id ORDER BY log.id",
    )


_numbers = itertools.count()


class House:
    """What there must be before something can be done to it."""

    def __init__(self, server: Server, clip: bytes) -> None:
        self.server, self.tus = server, Client(server)
        self.film = server.put("film.mp4", clip).json()["id"]

    def ask(self, method: str, path: str, data: object = None) -> Answer:
        body = b"" if data is None else json.dumps(data).encode()
        answer = self.server.request(method, f"/api/v1/{path}", body, JSON)
        assert answer.status < 300, answer
        return answer

    def file(self) -> str:
        return str(self.server.put("a.srt", SRT).json()["id"])

    def upload(self) -> str:
        return self.tus.new(len(SRT))

    def job(self) -> str:
        """One that waits: there is no worker."""
        order = {"operation": "thumbnail", "file": self.film}
        return str(self.ask("POST", "jobs/", order).json()["id"])

    def cancelled(self) -> str:
        job = self.job()
        self.ask("POST", f"jobs/{job}/cancel/")
        return job

    def batch(self) -> str:
        order = {"operation": "thumbnail", "files": [self.film], "params": {"width": 70 + next(_numbers)}}
        return str(self.ask("POST", "jobs/batch/", order).json()["id"])

    def failed_batch(self) -> str:
        batch = self.batch()
        self.server.call(job_rows.fail_batch, batch)
        return batch

    def preset(self) -> str:
        order = {"name": f"Preset {next(_numbers)}", "operation": "thumbnail"}
        return str(self.ask("POST", "presets/", order).json()["id"])

    def token(self) -> str:
        return str(self.ask("POST", "tokens/", {"name": "spare", "scopes": ["read"]}).json()["id"])


# By the endpoint: what there must be before, what is done to it, and what stands in the line.
Deed = tuple[Callable[[House], Any], Callable[[House, Any], Answer], tuple[str, str, str]]
DEEDS: dict[str, Deed] = {
    "POST file-list": (
        lambda house: form_part("file", SRT, "b.srt") + form_end(), lambda house, form: house.server.post_form(form),
        ("media file", "b.srt", "Uploaded by form."),
    ),
    "PUT upload": (
        lambda house: "c.srt", lambda house, name: house.server.put(name, SRT),
        ("media file", "c.srt", "Uploaded by raw PUT."),
    ),
    "PATCH upload-detail": (
        House.upload, lambda house, path: house.tus.patch(path, 0, SRT),
        ("media file", "unnamed", "Uploaded by tus."),
    ),
    "PUT upload-detail": (
        House.upload, lambda house, path: house.server.request("PUT", path, SRT),
        ("media file", "unnamed", "Uploaded by tus."),
    ),
    "DELETE upload-detail": (
        House.upload, lambda house, path: house.tus.delete(path),
        ("upload", "unnamed", "Terminated before it was complete."),
    ),
    "PATCH file-detail": (
        House.file, lambda house, pk: house.ask("PATCH", f"files/{pk}/", {"name": "d.srt"}),
        ("media file", "a.srt", "Renamed to “d.srt”."),
    ),
    "DELETE file-detail": (
        House.file, lambda house, pk: house.ask("DELETE", f"files/{pk}/"), ("media file", "a.srt", "Deleted."),
    ),
    "POST file-link": (
        House.file, lambda house, pk: house.ask("POST", f"files/{pk}/link/", {"expires_in": 60}),
        ("media file", "a.srt", "Created a link that is valid until"),
    ),
    "DELETE file-link": (
        House.file, lambda house, pk: house.ask("DELETE", f"files/{pk}/link/"),
        ("media file", "a.srt", "Revoked all links."),
    ),
    "POST batch-list": (
        lambda house: {"operation": "thumbnail", "files": [house.film]},
        lambda house, said: house.ask("POST", "jobs/batch/", said), ("batch", "thumbnail on 1 files", "Submitted."),
    ),
    "POST batch-cancel": (
        House.batch, lambda house, pk: house.ask("POST", f"jobs/batch/{pk}/cancel/"),
        ("batch", "thumbnail", "Cancelled."),
    ),
    "POST batch-retry": (
        House.failed_batch, lambda house, pk: house.ask("POST", f"jobs/batch/{pk}/retry/"),
        ("batch", "thumbnail", "Retried the failed jobs."),
    ),
    "POST job-list": (lambda house: None, lambda house, _: _submitted(house), ("job", "thumbnail", "Submitted.")),
    "POST job-cancel": (
        House.job, lambda house, pk: house.ask("POST", f"jobs/{pk}/cancel/"), ("job", "thumbnail", "Cancelled."),
    ),
    "POST job-retry": (
        House.cancelled, lambda house, pk: house.ask("POST", f"jobs/{pk}/retry/"),
        ("job", "thumbnail", "Retried."),
    ),
    "DELETE job-detail": (
        House.cancelled, lambda house, pk: house.ask("DELETE", f"jobs/{pk}/"), ("job", "thumbnail", "Deleted."),
    ),
    "POST preset-list": (
        lambda house: {"name": "House", "operation": "thumbnail"},
        lambda house, said: house.ask("POST", "presets/", said), ("preset", "House", "Saved."),
    ),
    "PATCH preset-detail": (
        House.preset, lambda house, pk: house.ask("PATCH", f"presets/{pk}/", {"params": {"width": 64}}),
        ("preset", "Preset", "Changed."),
    ),
    "PUT preset-arrival": (
        House.preset, lambda house, pk: house.ask("PUT", f"presets/{pk}/arrival/", {"runs": True}),
        ("preset", "Preset", "Changed."),
    ),
    "DELETE preset-detail": (
        House.preset, lambda house, pk: house.ask("DELETE", f"presets/{pk}/"), ("preset", "Preset", "Deleted."),
    ),
    "POST token-list": (
        lambda house: {"name": "camera", "scopes": ["upload", "read"]},
        lambda house, said: house.ask("POST", "tokens/", said),
        ("user", "alice", "Created the token “camera” with the scopes upload, read."),
    ),
    "DELETE token-detail": (
        House.token, lambda house, pk: house.ask("DELETE", f"tokens/{pk}/"),
        ("user", "alice", "Revoked the token “spare”."),
    ),
}  # fmt: skip
# Those that leave no line, and why.
SILENT = {
    "POST upload-list": "an upload that begins changes nothing yet: its end is recorded, as a file or as given up",
    "POST direct-list": "as upload-list",
    "POST direct-parts": "it only signs addresses",
    "POST direct-complete": "the end of its check is recorded, as a file or as failed",
    "DELETE direct-detail": "as upload-detail, which stands above: they end an upload by the same function",
}


def _submitted(house: House) -> Answer:
    return house.ask("POST", "jobs/", {"operation": "thumbnail", "file": house.film, "params": {"width": 99}})


def test_every_change_that_there_is_is_tried() -> None:
    changing = {str(found) for found in endpoints() if found.method in CHANGING}
    assert changing == DEEDS.keys() | SILENT.keys()


@pytest.mark.parametrize("name", DEEDS)
def test_a_change_leaves_one_line(name: str, house: House) -> None:
    before_it, do, (model, subject, what) = DEEDS[name]
    made = before_it(house)
    before = entries(house.server)
    answer = do(house, made)
    assert answer.status < 300, answer
    [(account, kind, shown, said)] = entries(house.server)[len(before) :]
    assert (account, kind) == ("alice", model.replace(" ", ""))
    assert shown.startswith(subject)
    assert said.startswith(what)
    assert said.endswith(HOW)


@pytest.mark.parametrize("name", SILENT)
def test_what_leaves_no_line_is_known(name: str, house: House) -> None:
    before = entries(house.server)
    house.upload()
    assert entries(house.server) == before


def test_an_upload_in_many_pieces_is_one_line(house: House) -> None:
    before, path = entries(house.server), house.upload()
    for at in range(0, len(SRT), 5):
        assert house.tus.patch(path, at, SRT[at : at + 5]).status == 204
    assert len(entries(house.server)) == len(before) + 1


def test_what_is_refused_leaves_no_line(house: House) -> None:
    server, before = house.server, entries(house.server)
    assert server.put("a.mp4", b"no media").status == 415
    assert server.request("DELETE", f"/api/v1/files/{house.film}/", user="bob").status == 404
    assert server.request("DELETE", f"/api/v1/files/{house.film}/", user="viewer").status == 403
    assert server.request("PATCH", f"/api/v1/files/{house.film}/", b'{"name": "a/b"}', JSON).status == 400
    assert server.request("POST", "/api/v1/jobs/", b'{"operation": "nothing"}', JSON).status == 400
    assert entries(server) == before


def test_a_session_is_named_as_one_and_the_admin_as_the_admin(house: House) -> None:
    browser = signed_in(house.server, "operator")
    before = entries(house.server)
    headers = {"X-CSRFToken": browser.token, "Origin": house.server.url, **JSON}
    assert browser.request("PATCH", f"/api/v1/files/{house.film}/", b'{"name": "e.mp4"}', headers).status == 200
    assert browser.post(f"/admin/uploads/mediafile/{house.film}/link/", {"duration": "3600"}).status == 200
    sent = browser.post_form(
        form_part("csrfmiddlewaretoken", browser.token.encode()) + form_part("file", SRT, "f.srt") + form_end(),
        {"Origin": house.server.url}, "/admin/uploads/mediafile/add/",
    )  # fmt: skip
    assert sent.status == 302
    assert [said for *_, said in entries(house.server)[len(before) :]] == [
        "Renamed to “e.mp4”. Through the API with a session from 127.0.0.1.",
        "Created a link that is valid for 1 hour. In the admin from 127.0.0.1.",
        "Uploaded. In the admin from 127.0.0.1.",
    ]


def test_what_is_not_through_the_api_is_nobody_s_from_before(house: House) -> None:
    """Threads are reused: who acted in the request before does not act in this one."""
    browser = signed_in(house.server, "operator")
    file = house.file()
    for _ in range(3):
        house.file()
    before = entries(house.server)
    assert browser.post(f"/admin/uploads/mediafile/{file}/delete/", {"post": "yes"}).status == 302
    assert [(who, said) for who, *_, said in entries(house.server)[len(before) :]] == [
        ("operator", "Deleted. In the admin from 127.0.0.1.")
    ]


@pytest.mark.django_db
def test_an_account_that_has_acted_is_deactivated_instead_of_deleted(client: DjangoClient) -> None:
    boss, bob, idle = (User.objects.create_user(name, is_superuser=name == "boss", is_staff=True) for name in NAMES)
    audit_log.record(Actor(bob.pk, "In a test."), [idle], "Renamed.")
    client.force_login(boss)
    kept = client.post(f"/admin/auth/user/{bob.pk}/delete/", {"post": "yes"})
    assert "bob has entries in the audit log. Deactivate the account instead." in kept.content.decode()
    several = {"action": "delete_selected", "_selected_action": [bob.pk, idle.pk], "post": "yes"}
    assert "bob has entries in the audit log" in client.post("/admin/auth/user/", several).content.decode()
    assert User.objects.count() == 3
    assert client.post(f"/admin/auth/user/{idle.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=idle.pk).exists()
