"""Presets: who may save, see and change which, how jobs are made from them, and what an old one can still do."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from rest_framework.test import APIClient

from media_jobs.errors import PresetInvalid, UnknownPreset
from media_jobs.models import Job, Preset
from media_jobs.queue import presets
from media_jobs.queue.submission import Order, submit
from tests.support.api_client import api_client
from tests.support.job_rows import a_file, a_user

pytestmark = pytest.mark.django_db
URL = "/api/v1/presets/"


def staff(group: str) -> User:
    user = User.objects.create_user(group.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


def save(client: APIClient, name: str = "Small", **more: Any) -> Any:
    return client.post(URL, {"name": name, "operation": "thumbnail", "params": {"width": 64}, **more}, format="json")


def order(client: APIClient, **said: Any) -> Any:
    return client.post("/api/v1/jobs/", said, format="json")


# Saved, listed, changed, deleted


def test_an_account_keeps_presets_for_itself() -> None:
    alice, bob = a_user(), a_user()
    made = save(api_client(alice), params={"at": "1:30", "width": 64})
    assert made.status_code == 201
    preset = made.json()
    assert preset["params"] == {"at": 90.0, "width": 64}  # as they are understood, without defaults
    assert (preset["owner"], preset["trouble"]) == (alice.username, None)
    assert made["Location"].endswith(f"{URL}{preset['id']}/")
    mine, theirs = api_client(alice), api_client(bob)
    assert mine.get(f"{URL}{preset['id']}/").json() == preset
    assert [found["id"] for found in mine.get(URL).json()["results"]] == [preset["id"]]
    assert theirs.get(URL).json()["results"] == []
    for method in (theirs.get, theirs.patch, theirs.delete):
        assert method(f"{URL}{preset['id']}/").status_code == 404
    changed = mine.patch(f"{URL}{preset['id']}/", {"name": "Large", "params": {"width": 640}}, format="json").json()
    assert (changed["name"], changed["params"]) == ("Large", {"width": 640})
    assert mine.delete(f"{URL}{preset['id']}/").status_code == 204
    assert not Preset.objects.exists()


def test_presets_for_all_are_for_administrators_to_change() -> None:
    boss, operator, alice = staff("Administrator"), staff("Operator"), a_user()
    for user in (operator, alice):
        answer = save(api_client(user), for_all=True)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    made = save(api_client(boss), for_all=True).json()
    assert made["owner"] is None
    for user in (operator, alice):
        assert api_client(user).get(f"{URL}{made['id']}/").status_code == 200
        for method in (api_client(user).patch, api_client(user).delete):
            assert method(f"{URL}{made['id']}/").status_code == 403
    assert api_client(boss).delete(f"{URL}{made['id']}/").status_code == 204


def test_a_viewer_sees_all_presets_and_saves_none() -> None:
    viewer = staff("Viewer")
    theirs = save(api_client(a_user())).json()["id"]
    assert [found["id"] for found in api_client(viewer).get(URL).json()["results"]] == [theirs]
    assert save(api_client(viewer)).status_code == 403
    assert api_client(viewer).delete(f"{URL}{theirs}/").status_code == 403


def test_a_list_is_filtered() -> None:
    boss = api_client(staff("Administrator"))
    save(boss, "A", for_all=True)
    save(boss, "B")
    save(boss, "C", operation="inspect", params={})
    for query, names in (("for_all=true", "A"), ("for_all=false", "CB"), ("operation=inspect", "C"), ("name=B", "B")):
        assert "".join(found["name"] for found in boss.get(f"{URL}?{query}").json()["results"]) == names
    page = boss.get(f"{URL}?page_size=2").json()
    assert [len(page["results"]), len(boss.get(page["next"]).json()["results"])] == [2, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"params": {"wdith": 7}}, {"params": {"width": -1}}, {"params": [7]}, {"operation": "explode"}, {"extra": 1},
        {"name": ""}, {"name": "a,b"}, {"name": "\u202e"}, {"name": "x" * 65}, {"name": 7 * [1]},
        {"name": "0f8fad5b-d9cb-469f-a165-70867728950e"},
    ],
)  # fmt: skip
def test_what_no_preset_can_be_is_refused_and_nothing_is_saved(wrong: dict[str, Any]) -> None:
    client = api_client(a_user())
    answer = save(client, **wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_params")
    assert not Preset.objects.exists()
    made = save(client).json()
    answer = client.patch(f"{URL}{made['id']}/", wrong, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_params")
    assert client.get(f"{URL}{made['id']}/").json() == made


def test_a_name_is_unique_for_its_owner() -> None:
    boss = staff("Administrator")
    client = api_client(boss)
    save(client), save(client, for_all=True), save(api_client(a_user()))
    other = save(client, "Other").json()["id"]
    for answer in (
        save(client),
        save(client, for_all=True),
        client.patch(f"{URL}{other}/", {"name": "Small"}, format="json"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    assert Preset.objects.count() == 4


# Jobs from presets


def test_a_job_takes_a_preset_by_name_or_id_and_keeps_its_name() -> None:
    file = a_file()
    client = api_client(file.owner)
    preset = save(client).json()
    by_name = order(client, preset="Small", file=str(file.pk)).json()
    by_id = order(client, preset=preset["id"], file=str(file.pk)).json()
    for job in (by_name, by_id):
        assert (job["operation"], job["params"]["width"], job["preset"]) == ("thumbnail", 64, "Small")
    client.patch(f"{URL}{preset['id']}/", {"name": "Renamed"}, format="json")
    client.delete(f"{URL}{preset['id']}/")
    assert client.get(f"/api/v1/jobs/{by_name['id']}/").json()["preset"] == "Small"


def test_ones_own_preset_comes_before_one_for_all() -> None:
    alice = a_user()
    common = presets.save(None, "Small", "thumbnail", {"width": 100})
    assert presets.find(alice, "Small") == common
    own = presets.save(alice, "Small", "thumbnail", {"width": 64})
    assert (presets.find(alice, "Small"), presets.find(a_user(), "Small")) == (own, common)
    for text in (str(own.pk), "Nothing", "\ud800", "\0"):
        with pytest.raises(UnknownPreset, match=r"Choose one of: Small\."):
            presets.find(a_user(), text)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"preset": "Small", "operation": "thumbnail"}, "preset"),
        ({"preset": "Small", "params": {}}, "preset"),
        ({}, "operation"),
        ({"preset": ""}, "preset"),
        ({"preset": "Nothing"}, None),
    ],
)
def test_an_order_with_a_preset_and_more_or_with_neither_is_refused(said: dict[str, Any], field: str | None) -> None:
    file = a_file()
    client = api_client(file.owner)
    save(client)
    answer = order(client, file=str(file.pk), **said)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_params")
    assert set(answer.json().get("errors", {})) == ({field} if field else set())
    assert not Job.objects.exists()


def test_a_repeated_request_gets_its_job_although_the_preset_was_changed() -> None:
    file = a_file()
    preset = presets.save(file.owner, "Small", "thumbnail", {"width": 64})
    first, is_new = submit(Order.of_preset(file.owner, preset, file=file, key="k"))
    assert is_new
    presets.change(preset, params={"width": 65})
    assert submit(Order.of_preset(file.owner, preset, file=file, key="k")) == (first, False)


def test_a_preset_that_its_operation_does_not_accept_any_more_is_told_and_refused() -> None:
    file = a_file()
    client = api_client(file.owner)
    old, gone = save(client, "Old").json()["id"], save(client, "Gone").json()["id"]
    Preset.objects.filter(pk=old).update(params={"width": 64, "sharpen": 3})
    Preset.objects.filter(pk=gone).update(operation="engrave")
    troubles = {found["name"]: found["trouble"] for found in client.get(URL).json()["results"]}
    assert "thumbnail has no parameter 'sharpen'" in troubles["Old"]
    assert "Change the parameters" in troubles["Old"]
    assert "no operation “engrave” any more. Delete the preset" in troubles["Gone"]
    for name in ("Old", "Gone"):
        answer = order(client, preset=name, file=str(file.pk))
        assert (answer.status_code, answer.json()["code"]) == (409, "preset_invalid")
        assert name in answer.json()["detail"]
    with pytest.raises(PresetInvalid):
        Order.of_preset(file.owner, Preset.objects.get(pk=gone))
    mended = client.patch(f"{URL}{gone}/", {"operation": "thumbnail"}, format="json").json()
    assert (mended["trouble"], mended["params"]) == (None, {})


# In the admin


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_form_of_an_operation_is_saved_as_a_preset_and_starts_from_it() -> None:
    file, operator = a_file(), staff("Operator")
    client, page = signed_in(operator), f"/admin/uploads/mediafile/{file.pk}/run/"
    sent = {"param-width": "333", "param-at": "", "param-format": "png", "priority": "0"}
    saved = client.post(f"{page}?operation=thumbnail", {**sent, "save_preset": "yes", "preset-name": "Mine"})
    preset = Preset.objects.get()
    assert saved["Location"] == f"{page}?preset={preset.pk}"
    assert (preset.owner, preset.name, preset.params) == (operator, "Mine", {"width": 333, "format": "png"})
    assert not Job.objects.exists()
    assert f'value="{preset.pk}"' in client.get(page).content.decode()
    form = client.get(f"{page}?preset={preset.pk}").content.decode()
    assert 'value="333"' in form
    client.post(f"{page}?preset={preset.pk}", {**sent, "param-at": "best"})
    client.post(f"{page}?preset={preset.pk}", {**sent, "param-width": "334"})
    assert sorted(Job.objects.values_list("params__width", "preset")) == [(333, "Mine"), (334, "")]
    assert "Saved." in LogEntry.objects.get(object_id=str(preset.pk)).change_message


def test_what_is_wrong_with_a_preset_is_told_in_the_form() -> None:
    file, operator = a_file(), staff("Operator")
    client, page = signed_in(operator), f"/admin/uploads/mediafile/{file.pk}/run/?operation=thumbnail"
    for sent, words in (
        ({"preset-name": "x", "param-width": "1"}, "width must be"),
        ({"preset-name": "", "param-width": "64"}, "This field is required"),
        ({"preset-name": "a,b", "param-width": "64"}, "no comma"),
        ({"preset-name": "x", "param-width": "64", "preset-for_all": "on"}, "saved"),
    ):
        answer = client.post(page, {"save_preset": "yes", "priority": "0", **sent}, follow=True)
        assert words in answer.content.decode()
    assert Preset.objects.get().owner == operator  # who may not save it for all has no such switch


def test_an_administrator_adds_changes_and_deletes_presets_for_all() -> None:
    client, url = signed_in(staff("Administrator")), "/admin/media_jobs/preset/"
    assert 'value="thumbnail"' in client.get(f"{url}add/").content.decode()
    sent = {"preset-name": "House", "preset-for_all": "on", "param-width": "64"}
    assert client.post(f"{url}add/?operation=thumbnail", sent).status_code == 302
    preset = Preset.objects.get(owner=None)
    assert "House" in client.get(url).content.decode()
    page = f"{url}{preset.pk}/change/"
    assert 'value="64"' in client.get(page).content.decode()
    assert "width must be" in client.post(page, sent | {"param-width": "1"}).content.decode()
    assert client.post(page, sent | {"param-width": "65"}).status_code == 302
    preset.refresh_from_db()
    assert preset.params["width"] == 65
    operator = signed_in(staff("Operator"))
    assert operator.get(page).status_code == 200
    assert operator.post(page, sent).status_code == 403
    assert operator.post(f"{url}{preset.pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(url, {"action": "delete_selected", "_selected_action": str(preset.pk)})
    assert Preset.objects.exists()
    assert client.post(f"{url}{preset.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Preset.objects.exists()


def test_the_admin_says_what_to_do_about_a_preset_that_cannot_be_used() -> None:
    client, url = signed_in(staff("Administrator")), "/admin/media_jobs/preset/"
    preset = Preset.objects.create(name="Gone", operation="engrave")
    assert "cannot be used" in client.get(url).content.decode()
    page = client.get(f"{url}{preset.pk}/change/").content.decode()
    assert "Delete the preset, or choose another operation." in page
    sent = {"preset-name": "Gone", "param-width": "64"}
    assert client.post(f"{url}{preset.pk}/change/?operation=thumbnail", sent).status_code == 302
    preset.refresh_from_db()
    assert (preset.operation, presets.trouble(preset)) == ("thumbnail", "")


def test_a_parameter_that_the_operation_does_not_have_is_shown_and_refused_until_it_is_emptied() -> None:
    client, url = signed_in(staff("Administrator")), "/admin/media_jobs/preset/"
    sent = {"preset-name": "House", "preset-for_all": "on", "param-width": "64"}
    refused = client.post(f"{url}add/?operation=thumbnail", sent | {"param-wdith": "7"}).content.decode()
    assert "Did you mean width?" in refused
    assert not Preset.objects.exists()
    preset = Preset.objects.create(name="Old", operation="thumbnail", params={"width": 64, "glitter": "<b>"})
    page = f"{url}{preset.pk}/change/"
    assert 'value="&lt;b&gt;"' in client.get(page).content.decode()
    assert (
        "has no parameter &#x27;glitter&#x27;" in client.post(page, sent | {"param-glitter": "<b>"}).content.decode()
    )
    preset.refresh_from_db()
    assert preset.params == {"width": 64, "glitter": "<b>"}
    assert client.post(page, sent | {"param-glitter": ""}).status_code == 302
    preset.refresh_from_db()
    assert preset.params == {"width": 64}
