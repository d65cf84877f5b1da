"""Search in names, metadata and what is said: what is found, by whom, and what the index follows."""

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from tests.support.api_client import api_client
from tests.support.job_rows import a_file, a_user
from uploads import text_index
from uploads.models import MediaFile, SearchText
from uploads.storage.files import delete_file, describe_file, rename_file
from uploads.text.text_query import MOST_WORDS, TextQuery
from uploads.text.words import plain, words_of
from uploads.text_index import Passage, index_text
from uploads.text_search import find, hits

SPOKEN = "transcript"


def named(name: str, owner: User | None = None) -> MediaFile:
    file = a_file(owner)
    rename_file(file, name)
    return file


def spoken(file: MediaFile, *texts: str) -> MediaFile:
    """A transcript whose cues begin every three seconds."""
    index_text(file, SPOKEN, [Passage(3.0 * number, text) for number, text in enumerate(texts)])
    return file


def ask(user: User, q: str, **more: Any) -> Any:
    return api_client(user).get("/api/v1/search/", {"q": q, **more})


def found(user: User, q: str, **more: Any) -> list[tuple[str, str]]:
    answer = ask(user, q, **more)
    assert answer.status_code == 200, answer.content
    return [(hit["source"], hit["file"]["name"]) for hit in answer.json()["results"]]


def shown(hit: dict[str, Any]) -> str:
    return "".join(f"[{part['text']}]" if part["match"] else part["text"] for part in hit["snippet"])


def raw(q: str) -> list[int]:
    return list(find(SearchText.objects.all(), TextQuery.parse(q)).values_list("pk", flat=True))


@pytest.mark.django_db
class TestWhatIsFound:
    def test_names_metadata_and_what_is_said_with_snippet_and_time(self) -> None:
        owner = a_user()
        file = named("Interview_Müller-2.mp4", owner)
        describe_file(file, {"case": "A <b>1</b>", "tags": ["harbour", 77], "done": True})
        spoken(file, "Good morning everybody.", "The harbour is closed", "until Friday noon.")
        hits = {hit["source"]: hit for hit in ask(owner, "HARBOUR").json()["results"]}
        assert {source: (hit["start"], shown(hit)) for source, hit in hits.items()} == {
            "metadata": (None, "A <b>1</b> · [harbour] · 77"),
            SPOKEN: (3.0, "Good morning everybody. The [harbour] is closed until Friday noon."),
        }
        shown_file = hits[SPOKEN]["file"]
        assert (shown_file["id"], shown_file["owner"]) == (str(file.pk), owner.username)
        assert shown_file["urls"]["self"].endswith(f"/api/v1/files/{file.pk}/")
        assert found(owner, "muller") == [("name", "Interview_Müller-2.mp4")]
        assert found(owner, "77", source="metadata") == [("metadata", "Interview_Müller-2.mp4")]
        assert found(owner, "77", source="name") == found(owner, "true") == found(owner, "nothing") == []

    @pytest.mark.parametrize(
        ("q", "is_found"),
        [
            ('"closed until friday"', True),  # across two cues
            ('"until closed"', False),
            ("friday harbour", True),
            ("friday harbours", False),
            ("harb*", True),
            ("harb", False),
            ('"closed unt"*', True),
            ("closed AND nothing", False),
            ("東京", True),
            ("京", True),
            ("京東", False),
            ("ガラス", True),
            ("カラス", False),
            ("สวัสดี", True),
            ("ЁЛКИ елки", True),
            ("strasse", True),
            ("हिन्दी", True),
            ("한국*", True),
            ("مرحبا", True),
        ],
    )
    def test_phrases_beginnings_and_languages(self, q: str, is_found: bool) -> None:
        owner = a_user()
        spoken(
            named("a.mp4", owner), "The harbour is closed", "until Friday", "我在東京大学。ガラス", "สวัสดีครับ", "Ёлки",
            "Große Straße", "हिन्दी में", "한국어를", "مَرْحَبًا",
        )  # fmt: skip
        assert bool(found(owner, q)) is is_found

    def test_a_long_transcript_is_found_everywhere_once_with_its_times(self) -> None:
        owner = a_user()
        cues = [f"word{number}{' filler' * 11}" for number in range(100)]
        file = spoken(named("long.mp4", owner), *cues)
        assert SearchText.objects.filter(file=file, source=SPOKEN).count() > 5
        for number in range(100):
            [hit] = ask(owner, f"word{number}").json()["results"]
            assert hit["start"] == 3.0 * number
        for number in range(0, 99, 3):
            assert len(found(owner, f'"filler word{number + 1}"')) == 1

    def test_a_long_text_without_cues_is_found_everywhere(self) -> None:
        file = a_file()
        index_text(file, "text", [Passage(None, " ".join(f"w{number}" for number in range(1000)))])
        assert all(raw(f'"w{number} w{number + 1}"') for number in range(998))
        index_text(file, "text", [Passage(None, "東京" * 1000)])
        assert "".join(text.text for text in SearchText.objects.filter(source="text")).count(" ") == 0

    def test_pages_follow_each_other_and_filters_narrow(self) -> None:
        owner = a_user()
        for number in range(5):
            spoken(named(f"film {number}.mp4", owner), "the same words")
        client, seen, page = api_client(owner), [], "/api/v1/search/?q=same&page_size=2"
        while page:
            answer = client.get(page).json()
            seen += [hit["file"]["name"] for hit in answer["results"]]
            page = answer["next"]
        assert seen == [f"film {number}.mp4" for number in (4, 3, 2, 1, 0)]
        one = MediaFile.objects.get(name="film 3.mp4")
        assert found(owner, "film", file=str(one.pk)) == [("name", "film 3.mp4")]
        assert found(owner, "film", kind="audio") == []
        for wrong in ({"cursor": "x"}, {"file": "x"}, {"cursor": "cD1hYmM="}):
            assert ask(owner, "same", **wrong).json()["code"] == "invalid_params"
        assert ask(owner, " ").json()["code"] == "invalid_params"

    def test_everybody_finds_their_own_and_staff_what_they_may_see(self) -> None:
        alice, bob = a_user(), a_user()
        of_alice, of_bob = (spoken(named(f"{one.username}.mp4", one), "secret word") for one in (alice, bob))
        viewer, outsider = (User.objects.create(username=name, is_staff=True) for name in ("viewer", "outsider"))
        viewer.groups.add(Group.objects.get(name="Viewer"))
        seen = {user: {name for _, name in found(user, "secret")} for user in (alice, bob, viewer, outsider)}
        assert seen == {
            alice: {of_alice.name},
            bob: {of_bob.name},
            viewer: {of_alice.name, of_bob.name},
            outsider: set(),
        }
        assert found(viewer, "secret", owner=bob.username) == [(SPOKEN, of_bob.name)]
        assert found(alice, "secret", owner=bob.username) == found(alice, "secret", file=str(of_bob.pk)) == []
        assert api_client(alice).get("/api/v1/").json()["search"].endswith("/search/")


@pytest.mark.django_db
class TestWhatTheIndexFollows:
    def test_renames_descriptions_and_deletions(self) -> None:
        file = spoken(named("before.mp4"), "spoken")
        describe_file(file, {"a": "first"})
        assert [bool(raw(word)) for word in ("before", "first", "spoken")] == [True, True, True]
        rename_file(file, "after.mp4")
        describe_file(file, {"a": "second"})
        assert [bool(raw(word)) for word in ("before", "after", "first", "second")] == [False, True, False, True]
        describe_file(file, None)
        spoken(file, "said", "anew")
        assert [bool(raw(word)) for word in ("second", "spoken", "said")] == [False, False, True]
        spoken(file)
        assert raw("said") == []
        delete_file(file)
        assert raw("after") == []
        assert not SearchText.objects.exists()

    def test_what_was_never_committed_is_not_found(self) -> None:
        file = named("kept.mp4")
        with pytest.raises(ZeroDivisionError):
            _rename_and_fail(file)
        assert [bool(raw("kept")), bool(raw("lost"))] == [True, False]

    def test_files_from_before_are_indexed_by_a_chore(self) -> None:
        file = spoken(named("old.mp4"), "spoken")
        newer = named("newer.mp4")
        SearchText.objects.exclude(source=SPOKEN).delete()
        MediaFile.objects.update(indexed_at=None)
        assert raw("old") == []
        assert text_index.fill() == 2
        assert text_index.fill() == 0
        assert [bool(raw(word)) for word in ("old", "newer", "spoken")] == [True, True, True]
        assert MediaFile.objects.filter(pk__in=[file.pk, newer.pk], indexed_at=None).count() == 0

    def test_a_damaged_index_is_made_anew(self) -> None:
        describe_file(spoken(named("name.mp4"), "Łódź spoken"), {"a": "described"})
        SearchText.objects.update(words=["wrong"])
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO uploads_searchtext_words (uploads_searchtext_words) VALUES ('delete-all')"
                )
        assert raw("spoken") == []
        said = StringIO()
        call_command("rebuild_search", stdout=said)
        assert said.getvalue() == "The index is complete.\n"
        assert [len(raw(word)) for word in ("name", "spoken", "lodz", "described", "wrong")] == [1, 1, 1, 1, 0]
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:  # an error if it differs from the table
                cursor.execute(
                    "INSERT INTO uploads_searchtext_words (uploads_searchtext_words) VALUES ('integrity-check')"
                )

    def test_a_damaged_index_is_mended_by_a_chore(self) -> None:
        files = [named(f"Łódź {number}.mp4") for number in range(300)]
        assert text_index.mend() == 0
        if connection.vendor != "sqlite":
            return  # PostgreSQL looks after its own
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO uploads_searchtext_words (uploads_searchtext_words) VALUES ('optimize')")
            cursor.execute("UPDATE uploads_searchtext_words_data SET block = x'00' WHERE id > 10")
        with pytest.raises(DatabaseError), transaction.atomic():
            raw("lodz")
        assert (text_index.mend(), text_index.mend()) == (1, 0)
        assert len(raw("lodz")) == len(files)
        delete_file(files[0])
        assert len(raw("lodz")) == len(files) - 1

    def test_no_migration_has_dropped_what_keeps_the_index_equal_to_the_table(self) -> None:
        """Django makes a table of SQLite anew for many changes, without its triggers: see SearchText."""
        there, wanted = "SELECT indexname FROM pg_indexes", {"search_text_words"}
        if connection.vendor == "sqlite":
            there = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            wanted = {f"uploads_searchtext_{verb}" for verb in ("added", "changed", "deleted")}
        with connection.cursor() as cursor:
            cursor.execute(there)
            assert {name for (name,) in cursor.fetchall()} >= wanted

    def test_names_and_metadata_are_not_given_by_others(self) -> None:
        with pytest.raises(ValueError, match="name"):
            index_text(a_file(), "name", [Passage(None, "x")])


def _rename_and_fail(file: MediaFile) -> None:
    with transaction.atomic():
        rename_file(file, "lost.mp4")
        raise ZeroDivisionError


HOSTILE = [
    '"', "'", '""', "\\", "\0", "a\0b", "*", "-", "a* *", "NEAR(a b)", "a OR", "words:", ":*", "<->", "!a", "(", ")",
    "^a", "{a}:b", "+", "';--", "%", "_", "\ud800", "a" * 10_000, '"' * 10_000, "a " * 5000, "a* " * 5000,
    "東" * 10_000, "(" * 10_000,
    '"' + "a b " * 2500, "\u0301" * 100, "🎬", "\U0010ffff", "AND OR NOT", "-- x", "/* x", "a\nb\tc\u2028d",
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("q", HOSTILE, ids=range(len(HOSTILE)))
def test_no_words_break_the_query(q: str) -> None:
    file = named("a b.mp4")
    spoken(file, "a b or and not near 東東")
    texts = SearchText.objects.all()
    query = TextQuery.parse(q)
    assert sum(len(term.words) for term in query.terms) <= MOST_WORDS
    for _ in hits(find(texts, query), query):
        pass
    answer = ask(file.owner, q.encode(errors="replace").decode())
    assert answer.status_code == (200 if q.strip() else 400)


class TestAnything(TestCase):
    @given(st.text() | st.text(alphabet="ab\" *:()-^\0é東'"), st.text(alphabet="ab é東-"))
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def test_what_is_found_is_what_the_snippet_shows(self, q: str, text: str) -> None:
        """The database and Python agree on what matches."""
        if not SearchText.objects.filter(source="text").exists():
            self.file = a_file()
        index_text(self.file, "text", [Passage(None, text)])
        query = TextQuery.parse(q)
        is_found = find(SearchText.objects.filter(source="text"), query).exists()
        words = [list(words_of(plain(text)))]
        expected = bool(query.terms) and all(
            any(term.ends_at(each, first) is not None for each in words for first in range(len(each)))
            for term in query.terms
        )
        assert is_found is expected


@pytest.mark.django_db
def test_the_page_of_the_admin_searches_and_escapes(client: Client) -> None:
    staff = User.objects.create_superuser("root")
    file = spoken(named("<i>film</i>.mp4"), "nothing <script>alert(1)</script> here", "the harbour")
    client.force_login(staff)
    page = client.get("/admin/uploads/mediafile/search/", {"q": "harbour"}).content.decode()
    assert "<mark>harbour</mark>" in page
    assert "&lt;i&gt;film&lt;/i&gt;" in page
    assert "<script>alert" not in page
    assert f"/admin/uploads/mediafile/{file.pk}/change/?t=3" in page
    assert "Nothing was found" in client.get("/admin/uploads/mediafile/search/", {"q": "absent"}).content.decode()
    assert client.get("/admin/uploads/mediafile/search/").status_code == 200
    client.force_login(User.objects.create(username="outsider", is_staff=True))
    assert client.get("/admin/uploads/mediafile/search/", {"q": "harbour"}).status_code == 403
