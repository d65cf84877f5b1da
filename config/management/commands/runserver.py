from config.management.refused_command import RefusedCommand


class Command(RefusedCommand):
    help = "Not available: use `manage.py serve`."
    advice = (
        "Django's development server has no limits for slow clients and large bodies, and runs no jobs. Use "
        "`manage.py serve` (or `make run`). MILLRACE_HOST and MILLRACE_PORT set where it listens."
    )
