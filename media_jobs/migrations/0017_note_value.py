from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('media_jobs', '0016_waiting_texts'),
    ]

    operations = [
        migrations.RenameField(model_name='contentnote', old_name='figures', new_name='value'),
    ]
