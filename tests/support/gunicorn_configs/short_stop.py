"""gunicorn's configuration as in config.web_server.gunicorn_config, with little time for a stop."""

from config.web_server.gunicorn_config import *  # noqa: F403

graceful_timeout = 2
