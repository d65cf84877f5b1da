"""Several hosts on one database: started at once, led by one housekeeping, and as one service to their users."""

import re
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from config import first_start
from tests.support.hosts import hosts, start_together
from tests.support.in_server import chores, startup
from tests.support.local_store import Film
from tests.support.processes import kill, signalled
from tests.support.serve_process import Serve
from tests.support.server import Server, query
from tests.support.tus_client import Client
from tests.support.waiting import wait_until

# A leader's lease lasts 20 s and the others look every 5 s. The rest is for a machine that is busy.
TAKE_OVER = 90


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Serve]]:
    """Two hosts that were started at the same time, on an empty database, and one that was never started."""
    with hosts(tmp_path_factory.mktemp("hosts"), 3, SLOTS_QUICK="0", SLOTS_BULK="0", SLOTS_HEAVY="0") as made:
        start_together(made[:2])
        yield made


@pytest.fixture(scope="module")
def pair(three: list[Serve]) -> list[Serve]:
    return three[:2]


@pytest.fixture(scope="module")
def servers(pair: list[Serve]) -> list[Server]:
    """The same hosts, for clients."""
    token = pair[0].run("token", "admin").split()[-1]
    return [Server(host.home, {"alice": token}, host.database_url, port=host.port) for host in pair]


def test_of_two_first_starts_at_once_one_migrates_and_makes_the_first_account(
    pair: list[Serve], servers: list[Server]
) -> None:
    shown = [re.search("Sign in as admin with", host.output) is not None for host in pair]
    assert sorted(shown) == [False, True]
    [(applied, different)] = query(servers[0], "SELECT count(*), count(DISTINCT (app, name)) FROM django_migrations")
    assert applied == different
    assert query(servers[0], "SELECT count(*) FROM auth_user") == [(1,)]


def test_an_upload_goes_on_at_another_host_whose_request_ends_the_one_that_sends(
    servers: list[Server], film: Film
) -> None:
    old, new = map(Client, servers)
    content = film(400_000)
    path = old.new(len(content))
    with old.sending(path, content[:200_000]) as line:
        assert new.offset(path) == 200_000
        assert line.was_refused()
    assert new.finish(path, content) == 200_000


def test_failed_attempts_count_on_all_hosts_together(servers: list[Server]) -> None:
    wrong = [servers[number % 2].get("/api/v1/me/", {"Authorization": f"Bearer {number}"}) for number in range(31)]
    assert [answer.status for answer in wrong] == [401] * 30 + [429]


def test_a_host_with_another_secret_key_does_not_start_while_others_may_be_running(three: list[Serve]) -> None:
    new = Server(three[2].home, {}, three[2].database_url, three[2].settings)
    with_another = replace(new, settings={"SECRET_KEY": "another key, as long and as random as that of the others"})
    try:
        said = with_another.run(first_start.prepare).stderr
        assert "The database is used with another secret key" in said
        assert re.search(r"Copy \S+/host-[01]/secret_key to \S+/host-2/secret_key", said)
        assert query(new, "SELECT count(*) FROM uploads_secretkeyuse") == [(1,)]
        new.call(first_start.prepare)

        new.manage("adopt-secret-key")  # the key of all, but now it is this host that brought it
        new.call(chores.record_run_on, "another-host")
        assert with_another.run(first_start.prepare).returncode == 1
        new.call(chores.forget_host, "another-host")
        with_another.call(first_start.prepare)  # a single host may change its key
        assert new.run(first_start.prepare).returncode == 0  # and back
    finally:
        new.ready.end()


def test_hosts_whose_cache_or_broker_is_their_own_are_warned_of(three: list[Serve]) -> None:
    new = Server(three[2].home, {}, three[2].database_url, three[2].settings, broker_url="", cache_url="")
    shared = replace(new, variables=three[2].variables)
    try:
        assert new.call(startup.warning_codes, "_not_shared") == []
        new.call(chores.record_run_on, "another-host")
        assert new.call(startup.warning_codes, "_not_shared") == ["cache_not_shared", "broker_not_shared"]
        assert shared.call(startup.warning_codes, "_not_shared") == []
    finally:
        new.call(chores.forget_host, "another-host")
        new.ready.end()


def leader(pair: list[Serve]) -> Serve | None:
    """The host whose housekeeping leads."""
    found = query(server_of(pair[0]), "SELECT home FROM uploads_housekeepingleader WHERE until > now()")
    named = {str((host.home / "housekeeping.lock").stat().st_ino): host for host in pair}
    return named[found[0][0].split()[-1]] if found else None


def server_of(host: Serve) -> Server:
    return Server(host.home, {}, host.database_url, port=host.port)


def leader_and_other(pair: list[Serve]) -> tuple[Serve, Serve]:
    first = wait_until(lambda: leader(pair))
    assert first is not None
    [second] = [host for host in pair if host is not first]
    return first, second


def test_one_housekeeping_leads_and_another_takes_over_from_a_frozen_one_which_then_ends(pair: list[Serve]) -> None:
    first, second = leader_and_other(pair)
    assert [host.output.count("housekeeping_leads") for host in (first, second)] == [1, 0]
    assert "housekeeping_waits" in second.output

    frozen = first.tree()["housekeeping"]
    with signalled([frozen], signal.SIGSTOP, signal.SIGCONT):
        wait_until(lambda: leader(pair) is second, TAKE_OVER, lambda: second.output)
    wait_until(lambda: "leadership_lost" in first.output, 60, lambda: first.output)
    wait_until(lambda: first.output.count("housekeeping_waits") == 1, 60, lambda: first.output)
    assert first.tree()["housekeeping"] != frozen
    assert leader(pair) is second


def test_a_leader_that_was_killed_leads_again_at_once_and_another_host_leads_when_its_host_is_lost(
    pair: list[Serve],
) -> None:
    first, second = leader_and_other(pair)
    led = first.output.count("housekeeping_leads")
    kill(first.tree()["housekeeping"])
    wait_until(lambda: first.output.count("housekeeping_leads") == led + 1, 60, lambda: first.output)
    assert leader(pair) is first
    first.tree()
    first.end()
    wait_until(lambda: leader(pair) is second, TAKE_OVER, lambda: second.output)
    assert server_of(second).get("/readyz").status == 200
