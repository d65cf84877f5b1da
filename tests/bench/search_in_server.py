"""Transcripts for the measuring of the search, written through the index as jobs write them, in a server's Django."""

import random
import uuid

from django.contrib.auth.models import User
from django.db import connection

from uploads.models import Blob, MediaFile
from uploads.runtime.database_connections import write
from uploads.text_index import Passage, fill, index_text

_VOCABULARY, _CUE, _SECONDS = 20_000, 10, 4.0
_BATCH = 100


def speak(transcripts: int, words: int, owners: list[str]) -> None:
    """The owners in turns. “needle” is said once, in the middle of the first owner's; “common” in each cue."""
    chance = random.Random(1)
    vocabulary = [f"{chance.choice('bcdfgklmnprst')}{number:x}a" for number in range(_VOCABULARY)]
    weights = [1 / (rank + 10) for rank in range(_VOCABULARY)]
    accounts = [User.objects.get(username=name) for name in owners]
    middle = transcripts // 2 - transcripts // 2 % len(owners)
    for first in range(0, transcripts, _BATCH):
        with write():
            for number in range(first, min(first + _BATCH, transcripts)):
                said = chance.choices(vocabulary, weights, k=words)
                if number == middle:
                    said[words // 2 : words // 2 + 2] = ["needle", "haystack"]
                file = _file(number, accounts[number % len(accounts)])
                cues = (" ".join(["common", *said[at : at + _CUE]]) for at in range(0, words, _CUE))
                index_text(file, "transcript", [Passage(_SECONDS * at, cue) for at, cue in enumerate(cues)])
    while fill():
        pass
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _file(number: int, owner: User) -> MediaFile:
    blob = Blob.objects.create(
        sink="local", key=f"made-up.{number}", sha256=uuid.uuid4().hex * 2, size=9, state="stored", kind="video",
        media_type="video/mp4",
    )  # fmt: skip
    return MediaFile.objects.create(owner=owner, name=f"recording {number}.mp4", blob=blob)
