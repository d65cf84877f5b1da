from django.apps import AppConfig

from config import loading


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import celery  # noqa: F401  # every process that may submit a job knows the broker

        loading.end()
