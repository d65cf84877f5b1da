"""gunicorn's usual configuration, with little time and memory for bodies that bring no file."""

from config.web_server import request_gathering
from config.web_server.gunicorn_config import *  # noqa: F403
from uploads.http import body

body.WITHOUT_FILE_SECONDS = 2.0
request_gathering.BODIES_BUDGET = 250_000
