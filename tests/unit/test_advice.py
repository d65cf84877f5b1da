"""What is said to whoever finds a job failed."""

from collections.abc import Iterator

import pytest

from media_jobs.admin.failure_advice import advice, codes
from media_jobs.errors import Failure
from media_jobs.models import Job


def kinds(kind: type[Failure] = Failure) -> Iterator[type[Failure]]:
    yield kind
    for closer in kind.__subclasses__():
        yield from kinds(closer)


def test_no_cause_of_failure_lacks_advice() -> None:
    assert {kind.code for kind in kinds()} == codes()


@pytest.mark.parametrize("code", sorted(codes()))
def test_advice_is_whole_sentences(code: str) -> None:
    found = advice(Job(error_code=code))
    assert found is not None
    assert found.cause.endswith(".")
    assert found.remedy.endswith(".")


def test_a_job_that_has_not_failed_needs_none() -> None:
    assert advice(Job()) is None
