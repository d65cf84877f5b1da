"""Admin pages of users, groups and the audit log."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.contrib.auth.views import PasswordChangeView
from django.forms import ValidationError
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.forms import AdminOwnPasswordChangeForm, AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from ..access.attempt_limits import Attempts
from ..errors import Throttled
from ..runtime.database_connections import write
from ..storage.sidecars import all_changed
from .account_limits import GroupLimitsInline, UserLimitsInline
from .lists import cells
from .lists.model_admin import ReadOnlyAdmin
from .lists.query_strings import CheckedRequestsMixin

GUESSES_A_MINUTE = 10

admin.site.unregister(User)
admin.site.unregister(Group)


class ChangedColumnsAdmin(CheckedRequestsMixin, ModelAdmin):  # type: ignore[misc]
    """Save only the columns that the form changed.

    Django's admin writes the whole row. That would undo changes that others made since the form was loaded, such as
    `is_active`, and would restore a row that was deleted.
    """

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        # The lock holds until the many-to-many fields are saved too.
        if self.get_queryset(request).select_for_update(no_key=True).filter(pk=obj.pk).first() is None:
            raise Http404
        columns = {field.name for field in self.opts.concrete_fields}
        obj.save(update_fields=columns.intersection(form.changed_data))


class PasswordOnlyMixin:
    """Save only the password. Hashing takes a while; an account that is deactivated meanwhile must stay inactive."""

    def set_password_and_save(self, user: User, *args: Any, commit: bool = True, **kwargs: Any) -> User:
        super().set_password_and_save(user, *args, commit=False, **kwargs)  # type: ignore[misc]  # the form's
        if commit and not User.objects.filter(pk=user.pk).update(password=user.password):
            raise Http404
        return user


class PasswordForm(PasswordOnlyMixin, AdminPasswordChangeForm):  # type: ignore[misc]
    pass


class OwnPasswordForm(PasswordOnlyMixin, AdminOwnPasswordChangeForm):  # type: ignore[misc]
    user: User

    def clean_old_password(self) -> str:
        """Limit the attempts: with a stolen session one could guess the password here."""
        guesses = Attempts(
            "old-password", str(self.user.pk), GUESSES_A_MINUTE, "Too many wrong passwords. Wait a minute."
        )
        try:
            guesses.take()
            password: str = super().clean_old_password()
        except Throttled as refusal:
            raise ValidationError(refusal.detail, code=refusal.code) from refusal
        guesses.give_back()
        return password


def change_own_password(request: HttpRequest) -> HttpResponseBase:
    """unfold's `password_change` with our form, which unfold has no setting for."""
    view = PasswordChangeView.as_view(
        form_class=OwnPasswordForm, success_url=reverse("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )  # fmt: skip
    return view(request)


@admin.register(User)
class UserAdmin(ChangedColumnsAdmin, DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = PasswordForm
    inlines = [UserLimitsInline]

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        with write():
            super().save_model(request, obj, form, change)
            if change and "username" in form.changed_data:  # the sidecars of their files contain it
                all_changed(obj.media_files.all())

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, ...]:
        to_delete, counts, lacking, protected = super().get_deleted_objects(objs, request)
        lines = LogEntry.objects.filter(user__in=[account.pk for account in objs])
        for account in User.objects.filter(pk__in=lines.values("user")):
            # Deleting the account would delete its lines in the audit log.
            protected = [*protected, f"{account} has entries in the audit log. Deactivate the account instead."]
            lacking = set(lacking) - {LogEntry._meta.verbose_name}
        return to_delete, counts, lacking, protected


@admin.register(Group)
class GroupAdmin(ChangedColumnsAdmin, DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Groups. Viewer, Operator and Administrator are created after migrate; permissions added to them stay."""

    inlines = [GroupLimitsInline]


@admin.register(LogEntry)
class AuditLogAdmin(ReadOnlyAdmin):
    """The audit log: every action in the admin, and every change through the API."""

    list_display = ["action_text", "subject", "user", "action_time"]
    list_display_links = None
    list_select_related = ["user", "content_type"]
    ordering = ["-id"]  # the only index; there may be millions of rows
    sortable_by = ()

    @admin.display(description="action")
    def action_text(self, entry: LogEntry) -> str:
        return entry.get_change_message() or entry.get_action_flag_display()

    @admin.display(description="object")
    def subject(self, entry: LogEntry) -> SafeString | str:
        url = None if entry.is_deletion() else entry.get_admin_url()
        kind = entry.content_type.name if entry.content_type else ""
        name = f"{kind}: {entry.object_repr}"
        return cells.link(url, name) if url else name

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
