"""Events of jobs for Python code of a project that embeds Millrace: see docs/embedding.md."""

from uploads.subscriptions import Event

from .models import Job

# A job has succeeded, failed (and is not tried again) or was cancelled.
job_finished: Event[Job] = Event("job_finished")
