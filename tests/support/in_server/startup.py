"""Steps of a start, in a Django without a server. Tests run these by Server.call or as a process of their own."""

import gc
import os
import sys
import time
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from django.conf import settings

from config import file_modes, first_start, snapshots
from config.processes.reports import Reporter
from media_jobs.worker.process_table import Process
from uploads.hooks import current_warnings
from uploads.models import SecretKeyUse
from uploads.storage.marker import claim_store
from uploads.storage.stores import sinks


def prepare_and_make_first_account() -> tuple[str, str] | None:
    """Returns the first account and its password, if this start is the one that made it."""
    first_start.prepare()
    return first_start.first_account()


def is_garbage_collected() -> bool:
    return gc.isenabled()


def snapshot_warnings() -> list[str]:
    return [warning.words for warning in snapshots.warnings()]


def warning_codes(ending: str) -> list[str]:
    """The codes of current warnings that end like this."""
    return [warning.code for warning in current_warnings() if warning.code.endswith(ending)]


def restrict_modes_as(account: int) -> None:
    """Give the home to an account that is in no group, become that account, and restrict the modes again."""
    file_modes.restrict()
    for folder, folders, files in os.walk(settings.HOME):
        for name in [".", *folders, *files]:
            os.chown(os.path.join(folder, name), account, 0)  # noqa: PTH118
    settings.HOME.chmod(0o700)
    os.setgroups([])
    os.setegid(account)
    os.seteuid(account)
    file_modes.restrict()


def report_until_input_ends() -> None:
    """Write a report of a web process; it is removed when the input is closed."""
    with Reporter("other") as reporter:
        reporter.write([Process("web", 1, time.time(), 7, 1, time.time())])
        print("written", flush=True)  # noqa: T201  # the test waits for it
        sys.stdin.read()


class _WsgirefServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def serve_with_wsgiref() -> None:
    """wsgiref speaks HTTP/1.0, reads no chunks, and does not say where a body ends."""
    from config.wsgi import application

    server = _WsgirefServer(("127.0.0.1", int(os.environ["MILLRACE_PORT"])), WSGIRequestHandler)
    server.set_app(application)
    server.serve_forever()


def claim_the_stores() -> None:
    """Mark the configured stores as this installation's, as each start does."""
    for place in sinks():
        claim_store(place)


def forget_secret_key() -> None:
    """As if no host had used the database with one."""
    SecretKeyUse.objects.all().delete()
