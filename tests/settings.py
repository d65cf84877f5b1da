"""The real settings, on a home of their own that goes with the test run."""

import atexit
import os
import shutil
import tempfile

_home = tempfile.mkdtemp(prefix="millrace-test-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["MILLRACE_HOME"] = _home
os.environ["MILLRACE_ENV_FILE"] = "none"  # tests do not read the developer's settings
os.environ["MILLRACE_MIN_FREE"] = "0"

from config.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["tests.support.quick_passwords.QuickHasher"]

if DATABASES["default"]["ENGINE"] == "config.backends.sqlite3":  # noqa: F405
    # A file: threads that share a database in memory do not wait for each other's locks.
    DATABASES["default"]["TEST"] = {"NAME": f"{_home}/test.sqlite3"}  # noqa: F405
