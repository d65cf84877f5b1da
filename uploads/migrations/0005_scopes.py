import uuid

from django.db import migrations, models

# Tokens of older releases keep all that they could do.
ALL = ["upload", "read", "work", "admin"]


def name_tokens(apps, schema_editor):
    tokens = apps.get_model("uploads", "Token")
    for pk in list(tokens.objects.values_list("pk", flat=True)):
        tokens.objects.filter(pk=pk).update(public_id=uuid.uuid4())


class Migration(migrations.Migration):

    dependencies = [
        ('uploads', '0004_store'),
    ]

    operations = [
        migrations.AddField(
            model_name='upload',
            name='token',
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='token',
            name='scopes',
            field=models.JSONField(default=ALL),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='token',
            name='public_id',
            field=models.UUIDField(default=uuid.uuid4, editable=False, null=True),
        ),
        migrations.RunPython(name_tokens, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='token',
            name='public_id',
            field=models.UUIDField(default=uuid.uuid4, editable=False, unique=True),
        ),
    ]
