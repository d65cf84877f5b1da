from django.apps import AppConfig
from django.db.models.signals import post_migrate


class UploadsConfig(AppConfig):
    name = "uploads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, policy, registry, schema  # noqa: F401  # checks and schema register themselves
        from .buffers import budget
        from .conf import limits, sink
        from .monitoring import chores
        from .storage import condition

        registry.warnings.append(lambda: condition.warnings(sink()))
        registry.warnings.append(chores.warnings)

        budget.limit, budget.chunk_size = limits().buffer_memory, limits().chunk_size
        post_migrate.connect(policy.make_groups, sender=self)
