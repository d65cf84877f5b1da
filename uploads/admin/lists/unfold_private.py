"""Moments in lists, and on pages that cannot be edited, as templatetags.local_times writes them."""

from datetime import datetime
from typing import Any

from unfold import fields, utils
from unfold.templatetags import unfold_list

from ...templatetags.local_times import local_time

# Unfold shows the fields of lists and of pages that cannot be edited by this function, and offers no setting for it.
_display_for_field = utils.display_for_field


def display_for_field(value: Any, field: Any, empty_value_display: str) -> Any:
    if isinstance(value, datetime):
        return local_time(value)
    return _display_for_field(value, field, empty_value_display)


unfold_list.display_for_field = fields.display_for_field = display_for_field
