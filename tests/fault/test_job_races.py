"""Eight processes at the same jobs at once: whoever comes first, nothing is done twice, lost, or told wrongly."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec

import pytest

from tests.support.repetitions import MORE
from tests.support.scenarios import job_races
from tests.support.scenarios.job_races import MEMBERS
from tests.support.server import Server, Template

JOBS = 120 * MORE
# What may come after what. A follower that is to run itself is told of as queued once more.
NEXT = {
    "": {"queued"},
    "queued": {"running", "succeeded", "failed", "cancelled", "queued"},
    "running": {"queued", "succeeded", "failed", "cancelled"},
    "failed": {"queued"},
    "cancelled": {"queued"},
    "succeeded": set(),
}


P = ParamSpec("P")


@pytest.fixture
def home(template: Template, tmp_path: Path) -> Iterator[Server]:
    """A database, and no server: here the processes are our own."""
    made = Server(tmp_path / "home", template.tokens, template.copy_to(tmp_path / "home"))
    yield made
    made.end()


def race(home: Server, function: Callable[P, dict[str, Any]], *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
    """Run a race. The past of every job must be legal."""
    found = home.call(function, *args, **kwargs)
    for job, story in found["stories"].items():
        numbers, states = zip(*story["past"], strict=True)
        assert numbers == tuple(range(1, len(numbers) + 1)), (job, story)
        assert all(later in NEXT[before] for before, later in zip(("", *states), states, strict=False)), (job, story)
        assert states[-1] == story["status"], (job, story)
    return found


def test_each_job_is_claimed_once_and_none_is_left(home: Server) -> None:
    found = race(home, job_races.claim, jobs=JOBS, owners=5)
    claimed = Counter(job for mine in found["claimed"] for job in mine)
    assert set(claimed.values()) == {1}
    assert (len(claimed), found["left"]) == (JOBS, 0)
    assert {tuple(state for _, state in story["past"]) for story in found["stories"].values()} == {
        ("queued", "running")
    }


def test_of_the_same_job_submitted_at_once_one_leads_and_the_others_follow(home: Server) -> None:
    found = race(home, job_races.submit_the_same, rounds=12, worked=False)
    for same in zip(*found["each"], strict=True):
        [leader] = [job for job, followed in same if followed is None]
        assert [followed for _, followed in same].count(leader) == MEMBERS - 1


def test_of_the_same_job_submitted_at_once_one_is_run_though_it_ends_just_then(home: Server) -> None:
    found = race(home, job_races.submit_the_same, rounds=12, worked=True)
    assert {story["status"] for story in found["stories"].values()} == {"succeeded"}
    runs: dict[str, int] = defaultdict(int)
    for story in found["stories"].values():
        runs[story["key"]] += [state for _, state in story["past"]].count("running")
    assert set(runs.values()) == {1}


def test_jobs_and_uploads_at_once_never_overrun_the_quota_together(home: Server) -> None:
    home.settings["QUOTA"] = "1000B"
    found = race(home, job_races.pass_quota, size=300)
    assert Counter(found["outcomes"]) == {"taken": 3, "refused": MEMBERS - 3}
    assert found["left"] == 1000 - 3 * 300 - 7  # and the file that all of it began with


def test_whatever_is_done_to_jobs_at_once_their_past_stays_legal(home: Server) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201  # pytest shows it when this fails
    found = race(home, job_races.meddle, seed=seed, seconds=3)
    assert min(found["done"].values()) > 0, found["done"]
    alive = {job for job, story in found["stories"].items() if story["status"] in {"queued", "running"}}
    leading = Counter(found["stories"][job]["key"] for job in alive if found["stories"][job]["leader"] is None)
    assert set(leading.values()) <= {1}
    for job in alive:
        assert found["stories"][job]["leader"] in {None, *alive}, "it would wait for ever"


def test_a_file_that_is_deleted_while_it_is_used_is_gone_or_in_use(home: Server) -> None:
    found = race(home, job_races.delete_what_is_used, rounds=12 * MORE)
    expected = {
        "DELETE files/{file}/": {"204", "404 not_found", "409 in_use"},
        "PATCH files/{file}/": {"200", "404 not_found"},
        "POST files/{file}/link/": {"201", "404 not_found"},
        "POST jobs/{job}/retry/": {"200", "409 already_finished"},
        "POST jobs/": {"202", "404 not_found"},
    }
    assert found["answers"].keys() == expected.keys()
    for request, answers in found["answers"].items():
        assert answers.keys() <= expected[request], (request, answers)
