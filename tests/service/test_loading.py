"""The search for garbage is put off while Millrace loads, and only then."""

import re

from tests.support.in_server import startup
from tests.support.running_servers import StartServer
from tests.support.server import Server


def test_servers_collect_garbage_and_not_among_what_was_loaded(start_server: StartServer) -> None:
    log = start_server(config="tests.support.gunicorn_configs.garbage_report").log
    assert "the arbiter collects: True" in log
    assert re.search(r"the worker collects: True, without \d{5,}", log), log


def test_commands_collect_garbage(shared_server: Server) -> None:
    assert shared_server.call(startup.is_garbage_collected)
