from django.apps import AppConfig

from config import loading


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        # Every process that may submit a job knows the broker.
        from config import backup, celery, process_reports  # noqa: F401
        from media_jobs import supervision
        from uploads import registry

        registry.warnings.append(backup.warnings)

        supervision.sources.append(process_reports.read)
        loading.end()
