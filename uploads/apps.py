from django.apps import AppConfig
from django.db.models.signals import post_migrate


class UploadsConfig(AppConfig):
    name = "uploads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import hooks, system_checks  # noqa: F401  # the checks register themselves
        from .access import permissions
        from .conf import limits
        from .http.read_buffers import budget
        from .maintenance import storage_warnings
        from .models import MediaFile
        from .monitoring import chore_records, scanner_health
        from .storage.content_file import StoredContent

        hooks.warnings.append(storage_warnings.warnings)
        hooks.warnings.append(storage_warnings.missing_stores)
        hooks.warnings.append(chore_records.warnings)
        hooks.warnings.append(scanner_health.warnings)

        MediaFile.content_of = StoredContent
        budget.limit, budget.chunk_size = limits().buffer_memory, limits().chunk_size
        post_migrate.connect(permissions.make_groups, sender=self)
