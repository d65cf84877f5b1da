"""What an account may take, and how much of that it has taken."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, connection
from django.db.models.functions import Now
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from model_bakery import baker

from media_jobs.queue import artifacts
from tests.support.admin_client import signed_in
from tests.support.in_server import accounts
from tests.support.job_rows import a_file, a_job
from tests.support.local_store import Film
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, form_end, form_part
from tests.support.tus_client import UPLOADS, Client, pieces
from uploads.models import AccountLimits, Upload
from uploads.transfers import quota as quota_rules
from uploads.transfers.quota import EffectiveLimits, has_quota, limits_of

pytestmark = pytest.mark.django_db


def an_upload(owner: User, reserved: int, offset: int = 0, **more: Any) -> Upload:
    """A paused resumable upload; with heartbeat_at=Now() one that is being sent."""
    return Upload.objects.create(
        owner=owner, name="film.mp4", protocol="tus", sink="local", declared_size=reserved, reserved=reserved,
        offset=offset, key=str(uuid.uuid4()), expires_at=timezone.now() + timedelta(hours=1), **more,
    )  # fmt: skip


# Whose limits count

SETTINGS = {"quota": 1000, "max_file_size": 500, "max_uploads_per_user": 3}


@pytest.mark.parametrize(
    ("own", "of_groups", "expected"),
    [
        ({}, [], (1000, 500, 3)),
        ({"quota": 0}, [], (0, 500, 3)),
        ({}, [{"quota": 10}], (10, 500, 3)),
        ({}, [{"quota": 10, "max_uploads": 9}, {"quota": 20}, {}], (20, 500, 9)),
        ({"max_file_size": 7}, [{"max_file_size": 70, "max_uploads": 1}], (1000, 7, 1)),
    ],
)
def test_its_own_limits_count_then_its_groups_then_the_settings(
    settings: Any, own: dict[str, int], of_groups: list[dict[str, int]], expected: tuple[int, ...]
) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, **SETTINGS)
    alice, bob = baker.make(User, _quantity=2)
    give(own, user=alice)
    for said in of_groups:
        group = baker.make(Group)
        alice.groups.add(group)
        give(said, group=group)
    give({"quota": 1, "max_file_size": 1, "max_uploads": 1}, user=bob)
    give({"quota": 10**9}, group=baker.make(Group))  # she is not in it
    with CaptureQueriesContext(connection) as asked:
        found = limits_of(alice.pk)
    assert (found.quota, found.max_file_size, found.max_uploads) == expected
    assert len(asked) == 1
    assert limits_of(bob.pk) == EffectiveLimits(1, 1, 1)


def give(said: dict[str, int], **whom: Any) -> AccountLimits:
    return AccountLimits.objects.create(**said, **whom)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"both": True},
        {"quota": -1, "user": True},
        {"max_file_size": 0, "user": True},
        {"max_uploads": 0, "user": True},
    ],
)
def test_the_database_keeps_limits_to_one_account_or_group_and_above_nothing(wrong: dict[str, Any]) -> None:
    wrong = {**wrong}
    both = wrong.pop("both", False)
    user = baker.make(User) if wrong.pop("user", both) else None
    with pytest.raises(IntegrityError):
        give(wrong, user=user, group=baker.make(Group) if both else None)


def test_a_quota_of_its_own_is_decided_on_under_a_lock(settings: Any) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, quota=None)
    alice = baker.make(User)
    assert not has_quota([alice.pk])
    group = baker.make(Group)
    alice.groups.add(group)
    give({"quota": 5}, group=group)
    assert has_quota([alice.pk, baker.make(User).pk])
    with CaptureQueriesContext(connection) as asked:
        quota_rules.lock_quotas([alice.pk])
    assert len(asked) == 2  # whether there is one, and the lock


def test_a_result_that_passes_the_quota_of_its_owner_is_refused() -> None:
    job = a_job()
    assert artifacts.quota_failure(job, 10**12) is None
    give({"quota": 10**12}, user=job.owner)
    assert artifacts.quota_failure(job, 10**12)  # with its file it is more


# Use


def test_the_use_of_an_account_is_told_beside_its_limits(settings: Any) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, quota=1000, max_file_size=500, max_uploads_per_user=3)
    alice, bob = baker.make(User, _quantity=2)
    file = a_file(alice)
    a_file(bob)
    an_upload(alice, 100, 40)
    an_upload(alice, 60, heartbeat_at=Now())
    an_upload(alice, 0, state="failed", error_code="x", finished_at=timezone.now())
    an_upload(bob, 7)
    found = quota_rules.usage_of(alice.pk)
    assert (found.limits.quota, found.limits.max_file_size, found.limits.max_uploads) == (1000, 500, 3)
    assert (found.stored, found.reserved, found.sending, found.unfinished) == (file.size, 160, 1, 2)
    assert found.left == quota_rules.left_of_quota(alice.pk) == 1000 - file.size - 160
    settings.UPLOADS = replace(settings.UPLOADS, quota=None)
    assert quota_rules.usage_of(alice.pk).left is None


# Over HTTP


@pytest.fixture(scope="module")
def limited(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The settings allow files of 1 MB, alice has 200 KB and one at a time, bob a quota, carol's group 3 MB."""
    with running(template, tmp_path_factory, MAX_FILE_SIZE="1MB") as server:
        server.call(accounts.limit_account, "alice", max_file_size=200_000, max_uploads=1)
        server.call(accounts.limit_account, "bob", quota=500_000)
        server.call(accounts.add_to_group, "carol", "large")
        server.call(accounts.limit_group, "large", max_file_size=3_000_000)
        yield server


def send(server: Server, way: str, user: str, content: bytes) -> Answer:
    if way == "form":
        form = form_part("file", content, "film.mp4") + form_end()
        return server.post_form(form, user=user)
    body = pieces(content) if way == "chunked" else content
    return server.put("film.mp4", body, user=user)


@pytest.mark.parametrize("way", ["put", "form", "chunked"])
def test_every_account_may_send_files_as_large_as_its_own_limit(limited: Server, film: Film, way: str) -> None:
    tried = [("alice", 200_001), ("alice", 200_000), ("operator", 1_000_001), ("operator", 1_000_000)]
    tried += [("carol", 3_000_001), ("carol", 3_000_000)]
    codes = [send(limited, way, user, film(size)) for user, size in tried]
    assert [answer.status for answer in codes] == [413, 201, 413, 201, 413, 201], codes
    assert {answer.code for answer in codes if answer.status == 413} == {"too_large"}


@pytest.mark.parametrize("deferred", [False, True])
def test_a_resumable_upload_has_the_limit_of_its_account(limited: Server, film: Film, deferred: bool) -> None:
    for user, largest in (("alice", 200_000), ("carol", 3_000_000)):
        tus = Client(limited, user)
        assert tus.ask("OPTIONS", UPLOADS).headers["Tus-Max-Size"] == str(largest)
        if not deferred:
            assert tus.create(largest + 1).status == 413
        path = tus.new(None if deferred else largest)
        assert tus.patch(path, 0, film(largest + 1)).status == 413
        assert tus.finish(path, film(largest)) == 0
    assert Client(limited, None).ask("OPTIONS", UPLOADS).headers["Tus-Max-Size"] == "1000000"


def test_an_account_has_its_own_quota_and_may_send_so_many_at_a_time(limited: Server, film: Film) -> None:
    assert send(limited, "put", "bob", film(500_001)).code == "quota_exceeded"
    assert send(limited, "put", "bob", film(400_000)).status == 201
    assert send(limited, "chunked", "bob", film(200_000)).code == "quota_exceeded"
    alice, operator, content = Client(limited), Client(limited, "operator"), film(100_000)
    for client, status in ((alice, 429), (operator, 201)):
        with client.sending(client.new(100_000), content[:50_000]):
            assert send(limited, "put", str(client.user), content).status == status


def test_the_page_that_sends_files_names_the_limit_of_its_account(limited: Server) -> None:
    limited.call(accounts.limit_account, "viewer", max_file_size=7000)
    limited.call(accounts.add_to_group, "viewer", "Operator")
    assert "7.0 KB" in signed_in(limited, "viewer").request("GET", "/admin/uploads/mediafile/add/").body.decode()


# In the admin


def form_of(page: str, **said: str) -> dict[str, str]:
    """What a browser would send of an account's or a group's page."""
    found = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and not re.search(r'type="(submit|checkbox|radio)"', tag) and "__prefix__" not in name[1]:
            found[name[1]] = value[1] if value else ""
    return found | said


def kept(**whom: Any) -> tuple[Any, ...]:
    return AccountLimits.objects.filter(**whom).values_list("quota", "max_file_size", "max_uploads").get()


def test_an_administrator_sets_limits_on_the_page_of_an_account(admin_client: Browser) -> None:
    alice = baker.make(User, username="alice", is_active=True)
    a_file(alice)
    an_upload(alice, 5000)
    page = f"/admin/auth/user/{alice.pk}/change/"

    def save(**said: str) -> str:
        sent = form_of(admin_client.get(page).content.decode(), is_active="on", **said)
        return admin_client.post(page, sent, follow=True).content.decode()

    save(**{"own_limits-0-quota": "1.5 GB", "own_limits-0-max_uploads": "4"})
    assert kept(user=alice) == (1_500_000_000, None, 4)
    shown = admin_client.get(page).content.decode()
    assert 'value="1.5 GB"' in shown
    assert "7 bytes stored, 5.0 KB for unfinished uploads" in shown
    assert "0 being sent, 1 unfinished" in shown
    save(**{"own_limits-0-quota": "", "own_limits-0-max_file_size": "20GiB"})
    assert kept(user=alice) == (None, 20 * 1024**3, 4)
    told = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert told == [
        "Added limits “limits of alice”.",
        "Changed quota and Maximum file size for limits “limits of alice”.",
    ]


def test_two_administrators_who_set_limits_at_the_same_time_get_no_error(admin_client: Browser) -> None:
    alice = baker.make(User, username="alice", is_active=True)
    page = f"/admin/auth/user/{alice.pk}/change/"
    seen = form_of(admin_client.get(page).content.decode(), is_active="on")
    answers = [admin_client.post(page, seen | {"own_limits-0-quota": quota}) for quota in ("1 GB", "2 GB")]
    assert [answer.status_code for answer in answers] == [302, 200]
    assert "Limits were set by somebody else" in answers[1].content.decode()
    assert kept(user=alice) == (10**9, None, None)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("quota", "much"), ("quota", "-1"), ("quota", "9" * 30), ("quota", "9" * 5000 + " GB"), ("quota", "1e9"),
        ("max_file_size", "0"), ("max_uploads", "0"), ("max_uploads", "9" * 12),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_be_is_refused(admin_client: Browser, field: str, wrong: str) -> None:
    alice = baker.make(User, username="alice", is_active=True)
    page = f"/admin/auth/user/{alice.pk}/change/"
    sent = form_of(admin_client.get(page).content.decode(), is_active="on")
    answer = admin_client.post(page, sent | {f"own_limits-0-{field}": wrong})
    assert answer.status_code == 200
    assert "Please correct the error" in answer.content.decode()
    assert not AccountLimits.objects.exists()


def test_an_administrator_sets_limits_on_the_page_of_a_group(admin_client: Browser) -> None:
    group = baker.make(Group, name="editors")
    page = f"/admin/auth/group/{group.pk}/change/"
    sent = form_of(admin_client.get(page).content.decode(), **{"limits-0-quota": "2 TB"})
    assert admin_client.post(page, sent).status_code == 302
    assert kept(group=group) == (2 * 10**12, None, None)


def test_who_may_change_accounts_but_no_limits_sees_none(client: Browser) -> None:
    clerk, alice = baker.make(User, is_staff=True, is_active=True), baker.make(User)
    for name in ("view_user", "change_user"):
        clerk.user_permissions.add(Permission.objects.get(codename=name))
    client.force_login(clerk)
    page = client.get(f"/admin/auth/user/{alice.pk}/change/").content.decode()
    assert "own_limits" not in page
