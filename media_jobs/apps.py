from django.apps import AppConfig


class MediaJobsConfig(AppConfig):
    """Work on content. Its operations, jobs and workers are to come; uploads does not wait for them."""

    name = "media_jobs"
    default_auto_field = "django.db.models.BigAutoField"
