"""The filter “operation” of lists: the operations of this server, and those of removed plug-ins that left rows."""

from typing import Any

from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RadioFilter

from .. import operations

# Jumps from one operation to the next in an index: DISTINCT would read all of a million jobs.
_NAMES = """
    WITH RECURSIVE found(name) AS (
        SELECT (SELECT operation FROM {table} WHERE {shown} ORDER BY operation LIMIT 1)
        UNION ALL
        SELECT (SELECT operation FROM {table} WHERE {shown} AND operation > found.name ORDER BY operation LIMIT 1)
        FROM found WHERE found.name IS NOT NULL
    )
    SELECT name FROM found WHERE name IS NOT NULL
"""


class OperationFilter(RadioFilter):  # type: ignore[misc]
    title = "operation"
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        gone = [name for name in operations_in(model_admin.model) if name not in operations.registry]
        return [
            *((name, name) for name in operations.registry),
            *((name, f"{name} (not installed)") for name in gone),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(operation=self.value()) if self.value() else queryset


def operations_in(model: type[Model]) -> list[str]:
    """The operations that rows of this table name. A large table needs an index that begins with them."""
    has_children = any(field.name == "parent" for field in model._meta.fields)
    shown = "parent_id IS NULL" if has_children else "operation <> ''"
    with connection.cursor() as cursor:
        cursor.execute(_NAMES.format(table=connection.ops.quote_name(model._meta.db_table), shown=shown))
        return [name for (name,) in cursor.fetchall()]
