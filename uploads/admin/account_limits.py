"""Edit the limits of accounts and groups, and show how much of them an account uses."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import StackedInline
from unfold.widgets import UnfoldAdminTextInputWidget

from ..models import AccountLimits
from ..text.sizes import human_size, parse_size, write_size
from ..transfers.quota import usage_of

_MOST = models.BigIntegerField.MAX_BIGINT
_TABLE = """<table class="mr-table"><thead><tr><th scope="col">Limit</th><th scope="col">In force</th>
<th scope="col">Used</th></tr></thead><tbody>{}</tbody></table>"""
_EMPTY = "If empty, the limit of the groups applies, or else the one in the settings."


class SizeField(forms.CharField):
    """A number of bytes, entered and shown with a unit: 500 GB."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return write_size(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            size = parse_size(text)
        except ValueError:
            raise ValidationError("Write a size, such as 500 MB or 10 GiB.") from None
        if size > _MOST:
            raise ValidationError("This size is too large.")
        return size

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except ValidationError:
            return True


class LimitsForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in its stubs
    quota = SizeField(required=False, help_text=f"Total size of all files, such as 500 GB. {_EMPTY}")
    max_file_size = SizeField(required=False, label="Maximum file size", help_text=f"Such as 20 GB. {_EMPTY}")

    class Meta:
        model = AccountLimits
        fields = ["quota", "max_file_size", "max_uploads"]
        help_texts = {"max_uploads": f"How many uploads may be sent at the same time. {_EMPTY}"}

    def clean(self) -> None:
        super().clean()
        row = self.instance
        if row._state.adding and AccountLimits.objects.filter(user=row.user_id, group=row.group_id).exists():
            # unfold shows only the errors of fields here.
            self.add_error("quota", "Limits were set by somebody else in the meantime. Reload the page.")

    def clean_max_file_size(self) -> int | None:
        size: int | None = self.cleaned_data["max_file_size"]
        if size == 0:
            raise ValidationError("The maximum file size must be above 0.")
        return size


class _LimitsInline(StackedInline):  # type: ignore[misc]  # unfold has no types
    model = AccountLimits
    form = LimitsForm
    can_delete = False
    extra = max_num = 1
    verbose_name_plural = "Limits"
    fields: Any = ["quota", "max_file_size", "max_uploads"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and super().has_add_permission(request, obj)  # the account must exist first


class GroupLimitsInline(_LimitsInline):
    fk_name = "group"


class UserLimitsInline(_LimitsInline):
    fk_name = "user"
    readonly_fields = ["use"]
    fields = [*_LimitsInline.fields, "use"]

    @admin.display(description="current use")
    def use(self, row: AccountLimits) -> SafeString:
        """The limits in force, from the account, its groups or the settings, and how much of each is used."""
        if row.user_id is None:  # the empty row for adding
            return SafeString("")
        # The templates ask for each field several times.
        found = vars(row).get("found_use") or usage_of(row.user_id)
        vars(row)["found_use"], size = found, human_size
        allowed = found.limits
        quota = "none" if allowed.quota is None else size(allowed.quota)
        lines = [
            ("Quota", quota, f"{size(found.stored)} stored, {size(found.reserved)} for unfinished uploads"),
            ("Maximum file size", "no limit" if allowed.largest is None else size(allowed.largest), ""),
            ("Parallel uploads", allowed.max_uploads, f"{found.sending} being sent, {found.unfinished} unfinished"),
        ]
        rows = format_html_join("", '<tr><th scope="row">{}</th><td>{}</td><td>{}</td></tr>', lines)
        return format_html(_TABLE, rows)
