from typing import Any

from django.db import migrations


def drop_old_permissions(apps: Any, _: object) -> None:
    """Django makes those of the new name after the migration, and leaves the old ones."""
    apps.get_model("auth", "Permission").objects.filter(codename__endswith="_waitingtranscript").delete()


class Migration(migrations.Migration):
    """Artifacts other than transcripts have texts, too. What waits goes on waiting."""

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("media_jobs", "0015_waiting_transcripts"),
    ]

    operations = [
        migrations.RenameModel(old_name="WaitingTranscript", new_name="WaitingText"),
        migrations.RunPython(drop_old_permissions, migrations.RunPython.noop),
    ]
