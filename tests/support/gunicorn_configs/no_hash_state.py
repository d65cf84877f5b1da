"""gunicorn's configuration as in config.web_server.gunicorn_config, on a Python whose libcrypto cannot be called."""

from config.web_server.gunicorn_config import *  # noqa: F403
from uploads.content import openssl_state

openssl_state.is_available = False
