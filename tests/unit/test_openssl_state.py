"""The private parts of OpenSSL that a saved hash depends on are as this version of Millrace expects them."""

import ctypes
import hashlib
import ssl

from uploads.content import openssl_state
from uploads.content.openssl_state import OpenSslSha256

UPGRADE = (
    f"Python's OpenSSL ({ssl.OPENSSL_VERSION}) no longer has the private parts that uploads/content/openssl_state.py "
    "uses: a resumed upload would be read again from its first byte. Adapt that module."
)


def test_this_python_offers_the_sha256_functions_of_its_openssl() -> None:
    assert openssl_state.is_available, UPGRADE


def test_openssl_writes_within_the_112_bytes_that_are_kept_of_its_context() -> None:
    library, size = openssl_state._libcrypto, OpenSslSha256.SIZE
    context, digest = ctypes.create_string_buffer(b"\xa5" * 4 * size, 4 * size), ctypes.create_string_buffer(32)
    library.SHA256_Init(context)
    library.SHA256_Update(context, b"a film" * 1000, ctypes.c_size_t(6000))
    assert context.raw[size:] == b"\xa5" * 3 * size, UPGRADE
    library.SHA256_Final(digest, context)
    assert (digest.raw, context.raw[size:]) == (hashlib.sha256(b"a film" * 1000).digest(), b"\xa5" * 3 * size), (
        UPGRADE
    )


def test_the_state_is_all_that_a_hash_needs_to_go_on() -> None:
    first = OpenSslSha256()
    first.update(b"a ")
    second = OpenSslSha256(first.state())
    second.update(b"film")
    assert second.digest() == hashlib.sha256(b"a film").digest(), UPGRADE
