from django.db import migrations, models
from django.db.models import F


def name_chores(apps, schema_editor):
    apps.get_model("uploads", "ChoreRecord").objects.update(chore=F("name"))


class Migration(migrations.Migration):

    dependencies = [
        ('uploads', '0010_sink_names'),
    ]

    operations = [
        migrations.CreateModel(
            name='HousekeepingLeader',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('token', models.UUIDField()),
                ('home', models.CharField(max_length=128)),
                ('host', models.CharField(max_length=255)),
                ('until', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='NightlySnapshot',
            fields=[
                ('home', models.CharField(max_length=255, primary_key=True, serialize=False)),
                ('taken_at', models.DateTimeField()),
            ],
        ),
        migrations.AlterField(
            model_name='chorerecord',
            name='name',
            field=models.CharField(max_length=330, primary_key=True, serialize=False),
        ),
        migrations.AddField(
            model_name='chorerecord',
            name='chore',
            field=models.CharField(default='', max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='chorerecord',
            name='host',
            field=models.CharField(blank=True, default='', max_length=255),
            preserve_default=False,
        ),
        migrations.RunPython(name_chores, migrations.RunPython.noop),
    ]
