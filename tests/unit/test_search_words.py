"""Words of many languages, what people type into a search, and the snippets that they see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.text.text_query import MOST_WORDS, TextQuery, snippet
from uploads.text.words import LONGEST_WORD, plain, words_of


def words(text: str) -> list[str]:
    return [word.text for word in words_of(plain(text))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("IMG_2034-b.MP4", ["img", "2034", "b", "mp4"]),
        ("Don't", ["don", "t"]),
        ("Zürich Straße", ["zurich", "strasse"]),
        ("Zu\u0308rich", ["zurich"]),
        ("Ångström œuvre Łódź søster", ["angstrom", "oeuvre", "lodz", "soster"]),
        ("İSTANBUL ısı", ["istanbul", "isi"]),
        ("ΣΊΣΥΦΟΣ Σίσυφος", ["σισυφοσ", "σισυφοσ"]),
        ("Ёлка война", ["елка", "воина"]),
        ("שָׁלוֹם", ["שלום"]),
        ("مَرْحَبًا", ["مرحبا"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("한국어를", ["한국어를"]),
        ("日本語 text", ["日", "本", "語", "text"]),
        ("東京tokyo", ["東", "京", "tokyo"]),
        ("ガ", ["ガ"]),
        ("ＡＢ１", ["ab1"]),
        ("ﬁn", ["fin"]),
        ("a\u200db", ["ab"]),
        ("?!… \0 ", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_thai_is_found_at_any_part() -> None:
    assert words("สวัสดี") == list("สวัสดี")


def test_a_long_word_counts_by_its_beginning() -> None:
    assert words("ab" * 100) == words("ab" * 200) == [("ab" * 100)[:LONGEST_WORD]]


@given(st.text())
def test_every_word_stands_where_it_says(text: str) -> None:
    text = plain(text)
    before = 0
    for word in words_of(text):
        assert word.text
        assert before <= word.start < word.end <= len(text)
        assert word.text[0] in {found.text[0] for found in words_of(text[word.start : word.end])}
        before = word.start
        assert not set(word.text) & set(" '\"\\\0*:&|!()<>")


@pytest.mark.parametrize(
    ("asked", "fts5", "tsquery"),
    [
        ("one Two", '"one" AND "two"', "('one') & ('two')"),
        ('"one two" three', '"one two" AND "three"', "('one' <-> 'two') & ('three')"),
        ("“Zürich West”", '"zurich west"', "('zurich' <-> 'west')"),
        ("begin*", '"begin" *', "('begin':*)"),
        ('"one tw"*', '"one tw" *', "('one' <-> 'tw':*)"),
        ("IMG_20*", '"img 20" *', "('img' <-> '20':*)"),
        ("東京", '"東 京"', "('東' <-> '京')"),
        ("one one", '"one"', "('one')"),
        ('"open', '"open"', "('open')"),
        (
            "a\" OR NOT -b NEAR(c) & | ! \\ ' :*",
            '"a" AND "or not b near c"',
            "('a') & ('or' <-> 'not' <-> 'b' <-> 'near' <-> 'c')",
        ),
        ('""* " * ?', "", ""),
    ],
)
def test_what_is_asked_is_words_and_nothing_else(asked: str, fts5: str, tsquery: str) -> None:
    query = TextQuery.parse(asked)
    assert (query.as_fts5(), query.as_tsquery()) == (fts5, tsquery)


def test_only_the_first_words_count() -> None:
    query = TextQuery.parse(" ".join(map(str, range(10_000))))
    assert [term.words for term in query.terms] == [(str(number),) for number in range(MOST_WORDS)]
    assert sum(len(term.words) for term in TextQuery.parse("東" * 5000 + "京" * 5000).terms) == MOST_WORDS


def shown(text: str, asked: str) -> str:
    found = snippet(plain(text), TextQuery.parse(asked))
    return "".join(f"[{part.text}]" if part.match else part.text for part in found.parts)


@pytest.mark.parametrize(
    ("text", "asked", "found"),
    [
        ("Grüße aus Zürich West", "zurich", "Grüße aus [Zürich] West"),
        ("one two three two one", '"two one"', "one two three [two one]"),
        ("a holiday, a home", "ho*", "a [holiday], a [home]"),
        ("<b>bold</b> & more", "bold", "<b>[bold]</b> & more"),
        ("我在東京大学", "東京", "我在[東京]大学"),
        ("nothing of it", "else", "nothing of it"),
    ],
)
def test_a_snippet_marks_what_was_asked(text: str, asked: str, found: str) -> None:
    assert shown(text, asked) == found


def test_a_snippet_of_a_long_text_is_short_and_has_whole_words() -> None:
    text = " ".join(f"word{number}" for number in range(1000))
    found = shown(text, "word500")
    assert found.startswith("… word49")
    assert "[word500]" in found
    assert found.endswith(" …")
    assert len(found) < 300


@given(st.text(), st.text())
def test_a_snippet_leaves_nothing_out_of_a_short_text(text: str, asked: str) -> None:
    text = plain(text)[:200]
    assert "".join(part.text for part in snippet(text, TextQuery.parse(asked)).parts) == text
