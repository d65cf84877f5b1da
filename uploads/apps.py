from django.apps import AppConfig
from django.db.models.signals import post_migrate


class UploadsConfig(AppConfig):
    name = "uploads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, policy, schema  # noqa: F401  # checks and schema register themselves

        post_migrate.connect(policy.make_groups, sender=self)
