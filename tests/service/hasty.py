"""gunicorn's configuration as in config.server, with little time for a stop."""

from config.server import *  # noqa: F403

graceful_timeout = 2
