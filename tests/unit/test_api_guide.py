"""docs/api.md describes every error code, with the status that it is answered with."""

import re

from config.http.error_responses import STATUS
from media_jobs import errors as job_errors
from media_jobs.errors import Failure
from tests.support.preloaded_processes import ROOT

GUIDE = (ROOT / "docs" / "api.md").read_text()
ANSWERS, FAILURES = GUIDE.split("A job that failed has an `error`")


def test_the_api_guide_names_every_error_code_with_its_status() -> None:
    described = dict(re.findall(r"^\| `(\w+)` \| ([\d, ]+) \|", ANSWERS, re.MULTILINE))
    assert {code: status.split(", ")[0] for code, status in described.items()} == {
        code: str(status) for code, status in STATUS.items()
    }


def test_the_api_guide_names_every_reason_that_a_job_fails_for() -> None:
    kinds = [kind for kind in vars(job_errors).values() if isinstance(kind, type) and issubclass(kind, Failure)]
    described = re.findall(r"^\| `(\w+)` \| [^|]* \|$", FAILURES, re.MULTILINE)
    assert sorted(described) == sorted({kind.code for kind in kinds} - {Failure.code})
