"""Put transcripts into the index of the search, soon after the job that made them, or that was answered with them.

The row of the transcript is written in the transaction that ends the job; a chore then reads the content, as a
transaction must not wait for a store. The texts in the index go with the transcript, and with the file.
"""

import json
from collections.abc import Iterator

import structlog

from uploads.runtime.database_connections import release_connection, write
from uploads.sinks.base import NoSuchKey, SinkError
from uploads.storage.files import keep_from_deletion
from uploads.text_index import Passage, index_text

from ..models import Artifact, WaitingTranscript

log = structlog.get_logger(__name__)
TRANSCRIPT = "transcript.json"  # the name of the artifact with the cues
_SOURCE = "transcript"  # as answers of the search name it
_BATCH = 100


def note(artifact: Artifact) -> None:
    """Have it indexed, if it is a transcript. In the transaction that makes it."""
    if artifact.name == TRANSCRIPT:
        WaitingTranscript.objects.create(artifact=artifact)


def index_waiting() -> int:
    """The chore. A transcript whose store cannot be read waits for the next turn."""
    waiting = WaitingTranscript.objects.select_related("artifact__file__blob", "artifact__job__file__blob")
    return sum(_index(row.artifact) for row in waiting.order_by("pk")[:_BATCH])


def _index(artifact: Artifact) -> bool:
    release_connection()
    try:
        passages = list(_cues(artifact))
    except NoSuchKey:
        passages = []
    except SinkError:
        log.warning("transcript_not_read", artifact=artifact.pk, exc_info=True)
        return False
    except (ValueError, KeyError, TypeError):
        log.warning("transcript_unreadable", artifact=artifact.pk, exc_info=True)
        passages = []
    file, made = artifact.job.file, artifact.file
    with write():
        if file is not None and keep_from_deletion([file, made]) >= {file.pk, made.pk}:
            index_text(file, _SOURCE, passages, of=made)
        WaitingTranscript.objects.filter(pk=artifact.pk).delete()
    return True


def _cues(artifact: Artifact) -> Iterator[Passage]:
    with artifact.file.content as content:
        found = json.load(content)
    for cue in found["cues"]:
        yield Passage(float(cue["start"]), str(cue["text"]))
