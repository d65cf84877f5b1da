from config.management.refused_command import RefusedCommand


class Command(RefusedCommand):
    help = "Not available: the tests run with pytest."
    advice = "The tests run with pytest. Use `make test`, or `.venv/bin/pytest tests/unit/test_env.py` for one file."
