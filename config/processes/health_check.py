"""Whether the processes of a container run: `python -m config.processes.health_check`, for its health check.

The same for all roles: no supervised process is down, and the web server, if there is one, responds. If the
supervisor itself ends, so does the container.
"""

import http.client
import os
import sys
from collections.abc import Iterator

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

from config.processes import reports

_TIMEOUT = 5.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not bound


def problems() -> Iterator[str]:
    found = reports.read()
    yield from (f"{process.name} is down" for process in found if process.pid is None)
    if any(process.name == "web" for process in found) and not _web_responds():
        yield "the web server does not respond"


def _web_responds() -> bool:
    connection = http.client.HTTPConnection(
        _ANY_ADDRESS.get(settings.HOST, settings.HOST), settings.PORT, timeout=_TIMEOUT
    )
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit("; ".join(problems()) or None)
