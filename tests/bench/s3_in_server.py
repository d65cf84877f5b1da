"""What the measuring of S3 asks of a server's Django: send a file to its bucket, by our Writer and by boto3."""

import os
import time
import uuid
from pathlib import Path

import boto3

from uploads.sinks.s3.sink import S3Sink
from uploads.storage.stores import sink

_PIECE = 1024**2


def send_by_writer(path: str) -> dict[str, float]:
    """By the Writer that every entrance streams into."""
    key = f"bench/{uuid.uuid4()}"
    before, began = os.times(), time.perf_counter()
    writer = sink().create(key, size=Path(path).stat().st_size)
    buffer = memoryview(bytearray(_PIECE))
    with Path(path).open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            writer.write(buffer[:count])
    writer.commit()
    found = _taken(before, began)
    sink().delete(key)
    return found


def send_by_s3transfer(path: str) -> dict[str, float]:
    """By boto3's own upload of a file, with its defaults: parts of 8 MiB, ten at once, each with a checksum."""
    place = sink()
    assert isinstance(place, S3Sink)
    client, name = boto3.client("s3"), f"bench-{uuid.uuid4()}"
    before, began = os.times(), time.perf_counter()
    client.upload_file(path, place.bucket.name, name)
    found = _taken(before, began)
    client.delete_object(Bucket=place.bucket.name, Key=name)
    return found


def _taken(before: os.times_result, began: float) -> dict[str, float]:
    seconds, now = time.perf_counter() - began, os.times()
    return {"seconds": seconds, "cpu": now.user + now.system - before.user - before.system}
