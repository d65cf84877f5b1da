"""The parts of unfold that its documentation does not promise: two functions that we replace, and a checkbox.

pyproject.toml pins one version of unfold, and tests/unit/test_private_parts.py fails when one of these parts has
changed in another version.
"""

from datetime import datetime
from functools import cache
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from unfold import fields, utils
from unfold.admin import checkbox
from unfold.templatetags import unfold_list
from unfold.views import ChangeList

from ...templatetags.local_times import local_time

_result_headers = unfold_list.result_headers
_display_for_field = utils.display_for_field


def _result_headers_once(changes: ChangeList) -> list[dict[str, Any]]:
    """Unfold makes the headers again for every row. That and the checkboxes took two fifths of a list's time."""
    if "headers" not in vars(changes):
        changes.headers = list(_result_headers(changes))
    made: list[dict[str, Any]] = changes.headers
    return made


def _display_with_local_time(value: Any, field: Any, empty_value_display: str) -> Any:
    """Show times in the viewer's zone, in lists and on pages that cannot be edited. Unfold has no setting for it."""
    if isinstance(value, datetime):
        return local_time(value)
    return _display_for_field(value, field, empty_value_display)


@cache
def row_checkbox() -> str:
    """The checkbox before a row, with a place for the row's id."""
    return str(checkbox.render(ACTION_CHECKBOX_NAME, "ID")).replace('"ID"', '"{}"')


unfold_list.result_headers = _result_headers_once
unfold_list.display_for_field = fields.display_for_field = _display_with_local_time
