import django.db.models.deletion
import uploads.models.search_texts
from django.db import migrations, models

# SQLite: the full text index takes its words from the table, and follows it by triggers. Its tokenizer has nothing left to
# do but split at spaces: uploads/text/words.py has split and folded the words.
SQLITE = (
    """CREATE VIRTUAL TABLE uploads_searchtext_words USING fts5(
        words, content='uploads_searchtext', content_rowid='id', tokenize='ascii', columnsize=0
    )""",
    """CREATE TRIGGER uploads_searchtext_added AFTER INSERT ON uploads_searchtext BEGIN
        INSERT INTO uploads_searchtext_words (rowid, words) VALUES (new.id, new.words);
    END""",
    """CREATE TRIGGER uploads_searchtext_deleted AFTER DELETE ON uploads_searchtext BEGIN
        INSERT INTO uploads_searchtext_words (uploads_searchtext_words, rowid, words)
        VALUES ('delete', old.id, old.words);
    END""",
    """CREATE TRIGGER uploads_searchtext_changed AFTER UPDATE OF words ON uploads_searchtext BEGIN
        INSERT INTO uploads_searchtext_words (uploads_searchtext_words, rowid, words)
        VALUES ('delete', old.id, old.words);
        INSERT INTO uploads_searchtext_words (rowid, words) VALUES (new.id, new.words);
    END""",
)
POSTGRESQL = ("CREATE INDEX search_text_words ON uploads_searchtext USING gin (words)",)


def make_index(apps, schema_editor):
    statements = {"sqlite": SQLITE, "postgresql": POSTGRESQL}[schema_editor.connection.vendor]
    for statement in statements:
        schema_editor.execute(statement)


def drop_index(apps, schema_editor):
    """The table, which is dropped next, takes its triggers and indexes along."""
    if schema_editor.connection.vendor == "sqlite":
        for name in ("added", "deleted", "changed"):
            schema_editor.execute(f"DROP TRIGGER uploads_searchtext_{name}")
        schema_editor.execute("DROP TABLE uploads_searchtext_words")


class Migration(migrations.Migration):

    dependencies = [
        ('uploads', '0017_metadata'),
    ]

    operations = [
        # Empty in all files from before: a chore indexes them while the service runs.
        migrations.AddField(
            model_name='mediafile',
            name='indexed_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name='mediafile',
            index=models.Index(condition=models.Q(('indexed_at', None)), fields=['created_at', 'id'], name='file_not_indexed'),
        ),
        migrations.CreateModel(
            name='SearchText',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(max_length=16)),
                ('text', models.TextField()),
                ('words', uploads.models.search_texts.WordsField()),
                ('times', models.JSONField(null=True)),
                ('repeats', models.PositiveIntegerField(default=0)),
                ('file', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='search_texts', to='uploads.mediafile')),
                ('origin', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='uploads.mediafile')),
            ],
            options={
                'indexes': [models.Index(fields=['file', 'source'], name='search_text_of_file'), models.Index(condition=models.Q(('origin__isnull', False)), fields=['origin'], name='search_text_origin')],
            },
        ),
        migrations.RunPython(make_index, drop_index, elidable=False),
    ]
