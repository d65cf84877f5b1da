"""What every Sink promises, asked of an S3 store with its records in the database."""

import pytest

from tests.support.object_store import ObjectStore
from tests.support.s3_sinks import make_s3_sink
from tests.support.sink_contract import SinkContract
from uploads.sinks.s3.sink import S3Sink


@pytest.fixture
def sink(object_store: ObjectStore, transactional_db: None) -> S3Sink:
    return make_s3_sink(object_store)


class TestS3Sink(SinkContract):
    """With a prefix of its own for each test."""
