from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MediaJobsConfig(AppConfig):
    """Work on content. uploads does not know of it: it offers registries, which are filled here."""

    name = "media_jobs"
    verbose_name = "work"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from uploads import registry

        from . import checks, deleting, lanes, leases, policy, submitting  # noqa: F401  # checks registers itself
        from .admin import panels, running

        registry.warnings.append(lanes.warnings)
        registry.file_stored.append(submitting.inspect_new)
        registry.file_deleting.append(deleting.let_go_of)
        registry.upload_ended.append(submitting.begin_uploaded)
        registry.keys_in_use.append(leases.keys_in_use)
        registry.file_pictures.append(panels.pictures)
        registry.file_panels.append(panels.panels)
        registry.owners_rights.update(policy.OWNERS_RIGHTS)
        registry.file_going.append(panels.going)
        registry.file_pages.append(running.PAGE)
        post_migrate.connect(policy.make_groups_and_lanes, sender=self)
