"""How much of chance the tests try: TESTS_MORE=10 make test looks ten times as long for what is rare."""

import os

MORE = int(os.environ.get("TESTS_MORE", "1"))
