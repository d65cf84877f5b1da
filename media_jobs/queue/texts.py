"""Put the texts of artifacts into the index of the search, soon after the end of the job that has them.

These are transcripts, what detectors have read, such as number plates, and what the operator's own models have seen.
The row of such an artifact is written in the transaction that ends the job; a chore then reads the content, as a
transaction must not wait for a store. The texts in the index go with the artifact, and with the file.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from uploads.models import SearchText
from uploads.runtime.database_connections import release_connection, write
from uploads.sinks.base import NoSuchKey, SinkError
from uploads.storage.files import keep_from_deletion
from uploads.text_index import Passage, index_text

from ..detection.onnx_models import is_name
from ..models import Artifact, WaitingText
from . import job_texts

log = structlog.get_logger(__name__)
TRANSCRIPT = "transcript.json"  # the name of the artifact with the cues
DETECTIONS = "detections.json"  # the name of the artifact with the finds
_TRANSCRIPTS = "transcript"
_OTHER_SOURCES = {*SearchText.Source.values, _TRANSCRIPTS, job_texts.SOURCE}
_LONGEST_SOURCE = 16  # SearchText.source
_BATCH = 100

Texts = Mapping[str, Sequence[Passage]]  # by their source, as answers of the search name it


def note(artifact: Artifact) -> None:
    """Have it indexed, if it has texts. In the transaction that makes it."""
    if artifact.name in _READERS:
        WaitingText.objects.create(artifact=artifact)


def index_waiting() -> int:
    """The chore. An artifact whose store cannot be read waits for the next turn."""
    waiting = WaitingText.objects.select_related("artifact__file__blob", "artifact__job__file__blob")
    return sum(_index(row.artifact) for row in waiting.order_by("pk")[:_BATCH])


def _index(artifact: Artifact) -> bool:
    release_connection()
    try:
        texts = _read(artifact)
    except NoSuchKey:
        texts = {}
    except SinkError:
        log.warning("text_not_read", artifact=artifact.pk, exc_info=True)
        return False
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("text_unreadable", artifact=artifact.pk, exc_info=True)
        texts = {}
    file, made = artifact.job.file, artifact.file
    with write():
        if file is not None and keep_from_deletion([file, made]) >= {file.pk, made.pk}:
            for source, passages in texts.items():
                index_text(file, source, passages, of=made)
        WaitingText.objects.filter(pk=artifact.pk).delete()
    return True


def _read(artifact: Artifact) -> Texts:
    with artifact.file.content as content:
        return _READERS[artifact.name](json.load(content))


def _said(transcript: Any) -> Texts:
    return {_TRANSCRIPTS: [Passage(float(cue["start"]), str(cue["text"])) for cue in transcript["cues"]]}


def _seen(detections: Any) -> Texts:
    """What each detector has read, by its name. One that read nothing replaces what it read before.

    The operator's own models do not read. Of theirs, the labels count: each once, at its first time.
    """
    texts: dict[str, list[Passage]] = {name[:_LONGEST_SOURCE]: [] for name in detections["detectors"]}
    labels = set[tuple[str, str]]()
    for find in detections["finds"]:
        source, text = find["detector"][:_LONGEST_SOURCE], find["text"]
        if not text and is_name(find["detector"]) and (label := (source, find["label"])) not in labels:
            labels.add(label)
            text = find["label"]
        if text:
            texts[source].append(Passage(float(find["start"]), str(text)))
    return {source: texts[source] for source in texts if source not in _OTHER_SOURCES}


_READERS: Mapping[str, Callable[[Any], Texts]] = {TRANSCRIPT: _said, DETECTIONS: _seen}
