"""How the API's lists turn their pages: by a cursor, newest first."""

from typing import Any

from rest_framework import pagination
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request

from ..text.dates import parse_moment


class NewestFirst(pagination.CursorPagination):
    ordering = ("-created_at", "-id")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500

    def decode_cursor(self, request: Request) -> Any:
        """A cursor is ours to write, but anybody can write one: its position must be a moment."""
        try:
            cursor: Any = super().decode_cursor(request)
            if cursor is not None and cursor.position is not None:
                cursor = cursor._replace(position=str(parse_moment(cursor.position)))
        except (NotFound, ValueError) as error:
            raise ValidationError({self.cursor_query_param: [self.invalid_cursor_message]}) from error
        return cursor
