from django.db import migrations, models
from django.db.models import Exists, OuterRef


def index_again(apps, schema_editor):
    """The metadata of jobs finds their files from now on: the chore adds that of earlier jobs."""
    described = apps.get_model('media_jobs', 'Job').objects.filter(file=OuterRef('pk'), metadata__isnull=False)
    apps.get_model('uploads', 'MediaFile').objects.filter(Exists(described)).update(indexed_at=None)


class Migration(migrations.Migration):

    dependencies = [
        ('media_jobs', '0017_note_value'),
        ('uploads', '0019_texts_about'),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='metadata',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.RunPython(index_again, migrations.RunPython.noop, elidable=True),
    ]
