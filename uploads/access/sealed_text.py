"""Secrets that the database keeps for use with other services, encrypted with a key made from the secret key.

A snapshot of the database alone does not give them away. After a change of the secret key they cannot be read.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


class Unreadable(Exception):
    """The text was sealed with another secret key."""


def seal(text: str) -> str:
    return _cipher().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    try:
        return _cipher().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable from None


def _cipher() -> Fernet:
    key = salted_hmac("millrace", "key of sealed texts", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))
