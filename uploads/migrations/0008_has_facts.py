from django.db import migrations, models

# Facts were shown with each of these files before: they stay where they are.
FILES_WITH_FACTS = """
    UPDATE uploads_mediafile SET has_facts = TRUE
    WHERE blob_id IN (SELECT id FROM uploads_blob WHERE facts IS NOT NULL)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('uploads', '0007_monitoring'),
    ]

    operations = [
        migrations.AddField(
            model_name='mediafile',
            name='has_facts',
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.RunSQL(FILES_WITH_FACTS, migrations.RunSQL.noop),
    ]
