"""The WSGI application. `manage.py serve` runs it in gunicorn with Millrace's own worker."""

import os
import sys

from django.core.wsgi import get_wsgi_application

_CANNOT_BOOT = 3  # gunicorn starts a worker again and again, unless it ended with this code

if "gunicorn.arbiter" in sys.modules and "config.web_server.gunicorn_worker" not in sys.modules:
    print(  # noqa: T201  # the user of the command reads the terminal
        "gunicorn's own workers end long uploads and have no limits for slow clients. Use `manage.py serve`, or\n"
        "gunicorn --config python:config.web_server.gunicorn_config",
        file=sys.stderr,
        flush=True,
    )
    sys.exit(_CANNOT_BOOT)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
