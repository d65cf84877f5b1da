import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.request_bodies import claim
from uploads.content.digests import parse_claims
from uploads.content.hashing import PARALLEL_SIZE, Sha256
from uploads.errors import DigestMismatch, InvalidDigest

CONTENT = b"a film"


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_a_true_claim_is_verified(header: str, algorithm: str) -> None:
    claims = parse_claims({header: claim(CONTENT, algorithm)})
    claims.update(CONTENT[:2])
    claims.update(memoryview(CONTENT)[2:])
    claims.verify()


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_a_false_claim_is_a_mismatch(algorithm: str) -> None:
    claims = parse_claims({"Repr-Digest": claim(b"another", algorithm)})
    claims.update(CONTENT)
    with pytest.raises(DigestMismatch, match=algorithm):
        claims.verify()


def test_one_false_claim_among_true_ones_is_a_mismatch() -> None:
    claims = parse_claims({"Content-Digest": claim(CONTENT), "Repr-Digest": claim(b"another")})
    claims.update(CONTENT)
    with pytest.raises(DigestMismatch):
        claims.verify()


@pytest.mark.parametrize("header", ["", " ", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:", "unixsum=:YQ==:, sha=:YQ==:", ","])
def test_algorithms_that_we_do_not_know_claim_nothing(header: str) -> None:
    claims = parse_claims({"Content-Digest": header})
    assert not claims
    claims.update(CONTENT)
    claims.verify()


def test_what_we_know_is_checked_beside_what_we_do_not() -> None:
    claims = parse_claims({"Content-Digest": f"md5=:AAAA:, {claim(b'another')}"})
    claims.update(CONTENT)
    with pytest.raises(DigestMismatch):
        claims.verify()


@pytest.mark.parametrize(
    "header",
    [
        "sha-256",
        "sha-256=abc",
        "sha-256=:abc",
        "sha-256=:not base64!:",
        "sha-256=:YQ==:",
        "sha-256=::",
        "sha-256=:A:",
        "sha-256=:=A==:",
        "SHA-256=:YQ==:",
        f"{claim(CONTENT)};q=1",
        f"{claim(CONTENT)} nonsense",
        f"sha-512={claim(CONTENT)[8:]}",
    ],
)
def test_a_claim_that_cannot_be_read_is_refused(header: str) -> None:
    with pytest.raises(InvalidDigest):
        parse_claims({"Content-Digest": header})


@given(st.text(max_size=80) | st.text("sha-256512=:,AQg/+ ", max_size=60))
def test_no_header_does_worse_than_to_be_refused(header: str) -> None:
    try:
        claims = parse_claims({"Content-Digest": header})
    except InvalidDigest:
        return
    assert str(claims) == "" or claims.expected


def test_claims_read_the_same_in_whatever_order_they_came() -> None:
    one, two = claim(CONTENT), claim(CONTENT, "sha-512")
    assert str(parse_claims({"Repr-Digest": f"{one}, {two}"})) == str(parse_claims({"Repr-Digest": f"{two},{one}"}))
    assert str(parse_claims({"Repr-Digest": one})) != str(parse_claims({"Repr-Digest": two}))


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(0, 5))
def test_a_hash_goes_on_from_its_state_as_if_nothing_had_been(pieces: list[bytes], at: int) -> None:
    first = Sha256()
    for piece in pieces[:at]:
        first.update(piece)
    state = first.state()
    first.update(b"what the other does not see")
    second = Sha256(state)
    for piece in pieces[at:]:
        second.update(memoryview(bytearray(piece)))
    assert second.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_state_covers_what_a_helper_is_still_hashing() -> None:
    large = bytes(8 * PARALLEL_SIZE)
    first = Sha256()
    first.update(large)
    second = Sha256(first.state())
    second.update(b"more")
    assert second.hexdigest() == hashlib.sha256(large + b"more").hexdigest()


def test_a_digest_can_be_asked_for_in_between() -> None:
    ours, theirs = Sha256(), hashlib.sha256()
    for piece in (b"a", b"film"):
        ours.update(piece)
        theirs.update(piece)
        assert ours.hexdigest() == ours.hexdigest() == theirs.hexdigest()


@pytest.mark.parametrize("state", [b"", b"x" * 111, b"x" * 113])
def test_what_is_no_state_is_refused(state: bytes) -> None:
    with pytest.raises(ValueError, match="not a saved state"):
        Sha256(state)


def test_a_hash_is_the_same_of_few_bytes_and_of_many_at_a_time() -> None:
    content, found, at = bytes(range(256)) * 400, Sha256(), 0
    for size in (1, 8 * 1024, 8 * 1024 + 1, 2048, 50_000, 3):
        found.update(memoryview(bytearray(content[at : at + size])))
        at += size
    assert found.hexdigest() == hashlib.sha256(content[:at]).hexdigest()
