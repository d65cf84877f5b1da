"""Redis as the cache of counters goes away while Millrace runs: everybody is answered as usual."""

import signal
from collections.abc import Callable

import pytest

from tests.support.admin_client import Browser
from tests.support.failing_brokers import OwnRedis, own_redis
from tests.support.prepared_home import PASSWORD
from tests.support.running_servers import StartServer
from tests.support.server import Server
from tests.support.waiting import wait_until


def stop(redis: OwnRedis) -> None:
    redis.stop()


def freeze(redis: OwnRedis) -> None:
    redis.send_signal(signal.SIGSTOP)


@pytest.mark.parametrize("go_away", [stop, freeze])
def test_without_its_cache_everybody_is_answered_as_usual(
    go_away: Callable[[OwnRedis], None], start_server: StartServer
) -> None:
    with own_redis() as redis:
        server = start_server(cache_url=redis.url, THROTTLE_USER="1000/min")
        assert [status(server), status(server, "wrong"), sign_in(server, "wrong")] == [200, 401, 200]
        assert any(b"token" in key for key in redis.stored_keys())

        go_away(redis)
        assert [status(server), status(server, "wrong"), sign_in(server, "wrong")] == [200, 401, 200]
        assert sign_in(server) == 302
        # They are counted in this process meanwhile.
        assert {status(server, f"wrong-{number}") for number in range(31)} == {401, 429}
        assert status(server) == 200
        assert server.log.count("cache_unavailable") == 1

        redis.stop()
        redis.start()
        wait_until(lambda: status(server) == 200 and redis.stored_keys())
        assert server.log.count("cache_is_back") == 1


def status(server: Server, token: str = "") -> int:
    return server.get("/api/v1/files/", {"Authorization": f"Bearer {token or server.tokens['alice']}"}).status


def sign_in(server: Server, password: str = PASSWORD) -> int:
    return Browser(server).try_password("operator", password).status
