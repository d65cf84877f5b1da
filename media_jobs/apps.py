from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MediaJobsConfig(AppConfig):
    """Jobs on stored files. uploads does not import this app: it offers hooks, which are filled here."""

    name = "media_jobs"
    verbose_name = "processing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from uploads import hooks

        from . import permissions, system_checks  # noqa: F401  # the checks register themselves
        from .admin import file_panels, run_on_list
        from .api import playlist_urls, previews
        from .conf import jobs
        from .detection.registry import register_models
        from .queue import (
            arrivals,
            artifacts,
            deletion,
            job_texts,
            lanes,
            lost_leases,
            model_endpoints,
            notify,
            plugin_reports,
            submission,
        )

        register_models(jobs().detector_models)
        hooks.warnings += [lanes.warnings, plugin_reports.warnings, model_endpoints.warnings]
        hooks.text_sources.append(job_texts.TEXTS)
        hooks.file_stored.append(submission.inspect_new)
        hooks.file_deleting.append(deletion.release_file)
        hooks.upload_sent.append(notify.wake_for_upload)
        hooks.upload_ended += [submission.begin_uploaded, arrivals.remember]
        hooks.arrival_choices.append(arrivals.named)
        hooks.arrival_options.append(arrivals.options)
        hooks.keys_in_use.append(artifacts.keys_in_use)
        hooks.oldest_readers.append(lost_leases.oldest_attempt)
        hooks.file_pictures.append(file_panels.pictures)
        hooks.file_panels.append(file_panels.panels)
        hooks.playlist_urls.append(playlist_urls.playlist_url)
        hooks.player_previews.append(previews.previews)
        hooks.owners_rights.update(permissions.OWNERS_RIGHTS)
        hooks.file_deletion_previews.append(file_panels.going)
        hooks.file_pages.append(run_on_list.PAGE)
        post_migrate.connect(permissions.make_groups_and_lanes, sender=self)
