from django.apps import AppConfig

from config.processes import garbage_collector


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        # Every process that may submit a job needs the Celery app, which knows the broker.
        from config import celery, snapshots  # noqa: F401
        from config.monitoring import host_warnings
        from config.processes import reports
        from media_jobs.worker import process_table
        from uploads import hooks

        hooks.warnings.append(snapshots.warnings)
        hooks.warnings.append(host_warnings.warnings)

        process_table.sources.append(reports.read)
        garbage_collector.enable()
