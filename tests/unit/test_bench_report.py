"""What the benchmark says in the end."""

import json

from tests.bench.jobs import Figure
from tests.bench.report import Results


def test_a_promise_that_was_missed_is_named_and_no_other() -> None:
    kept = Figure("a list", "3 / 9 ms", "p95 < 50 ms", kept=True)
    missed = Figure("a search", "80 / 90 ms", "p95 < 50 ms", kept=False)
    results = Results(jobs=[Figure("bare", "1 s")], lists=[kept, missed])
    assert results.every_miss() == ["a search: 80 / 90 ms, and p95 < 50 ms is promised"]
    assert json.loads(results.json())["missed"] == results.every_miss()
    assert (results.every_failure(), Results(lists=[kept]).every_miss()) == ([], [])
