from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('uploads', '0018_search'),
    ]

    operations = [
        # Without a default: SQLite then adds the column without making the table anew, which would drop its triggers.
        migrations.AddField(
            model_name='searchtext',
            name='about',
            field=models.UUIDField(null=True),
        ),
        migrations.AddIndex(
            model_name='searchtext',
            index=models.Index(condition=models.Q(('about__isnull', False)), fields=['about'], name='search_text_about'),
        ),
    ]
