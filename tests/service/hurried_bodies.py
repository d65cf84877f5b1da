"""gunicorn's configuration as in config.server, with little time and memory for bodies that bring no file."""

from config import incoming
from config.server import *  # noqa: F403
from uploads import body

body.WITHOUT_FILE_SECONDS = 2.0
incoming.BODIES_BUDGET = 250_000
