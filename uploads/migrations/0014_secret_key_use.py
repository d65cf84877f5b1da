from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('uploads', '0013_direct_uploads'),
    ]

    operations = [
        migrations.CreateModel(
            name='SecretKeyUse',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('fingerprint', models.CharField(max_length=64)),
                ('home', models.CharField(max_length=255)),
            ],
        ),
    ]
