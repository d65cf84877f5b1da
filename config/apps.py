from django.apps import AppConfig

from config import loading


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import backup, celery  # noqa: F401  # every process that may submit a job knows the broker
        from uploads import registry

        registry.warnings.append(backup.warnings)

        loading.end()
