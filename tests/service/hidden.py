"""gunicorn's configuration as in config.server, on a Python whose libcrypto cannot be called."""

from config.server import *  # noqa: F403
from uploads import hashing

hashing._libcrypto = None
