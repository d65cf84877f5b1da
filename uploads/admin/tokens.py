"""Admin pages of tokens: create one for an account, show its secret once, and revoke it by deleting it."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from ..access import permissions
from ..access.tokens import DEFAULT_LIFETIME, make_token
from ..models import Token
from ..scopes import Scope
from ..templatetags.local_times import local_time
from .lists.model_admin import ReadOnlyAdmin

_SCOPES = {
    Scope.UPLOAD: "upload: upload files, view and cancel the uploads of this token",
    Scope.READ: "read: view and download what the account may view",
    Scope.WORK: "work: submit, cancel and retry jobs",
    Scope.ADMIN: "admin: rename, share and delete files, delete jobs, manage presets and tokens",
}
_NUMBER = re.compile(r"[0-9]{1,9}")
_NEVER = 0
_DURATIONS = {30: "30 days", DEFAULT_LIFETIME.days: "90 days", 365: "1 year", _NEVER: "no expiry"}


class AccountSelect(AutocompleteSelect):
    """Ignores a submitted value that is no account id. Django's widget would query for it, and fail."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        return super().optgroups(name, [number for number in value if _NUMBER.fullmatch(number)], attr)


class TokenForm(forms.Form):
    account = forms.ModelChoiceField(
        User.objects.filter(is_active=True), help_text="The token has the permissions of this account.",
        widget=AccountSelect(Token._meta.get_field("user"), admin.site),
    )  # fmt: skip
    name = forms.CharField(
        max_length=100, help_text="The program or device that uses the token.",
        widget=UnfoldAdminTextInputWidget,
    )  # fmt: skip
    scopes = forms.MultipleChoiceField(
        choices=[(scope.words[0], text) for scope, text in _SCOPES.items()],
        initial=(Scope.UPLOAD | Scope.READ | Scope.WORK).words, widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )  # fmt: skip
    duration = forms.TypedChoiceField(
        label="Valid for", coerce=int, choices=[*_DURATIONS.items()], initial=DEFAULT_LIFETIME.days,
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip

    def __init__(self, data: Any, staff: Any) -> None:
        super().__init__(data)
        self._staff = staff

    def clean_account(self) -> User:
        account: User = self.cleaned_data["account"]
        if not permissions.may_give_token(self._staff, account):
            raise forms.ValidationError(
                "You cannot create a token for this account: it has permissions that you do not have."
            )
        return account


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    list_display = ["name", "user", "scope", "prefix_text", "created", "expires"]
    list_select_related = ["user"]
    fields = ["name", "user", "scope", "prefix_text", "created", "expires"]
    readonly_fields = ["scope", "prefix_text", "expires"]
    ordering = ["-created"]

    @admin.display(description="expires", ordering="expiry")
    def expires(self, token: Token) -> Any:
        return local_time(token.expiry) if token.expiry else "never"

    @admin.display(description="scopes")
    def scope(self, token: Token) -> str:
        return ", ".join(token.scopes)

    @admin.display(description="prefix")
    def prefix_text(self, token: Token) -> str:
        return f"{token.prefix}…"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("uploads.add_token")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Show the form; after it is sent, show the secret once. The secret itself is not stored."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = TokenForm(request.POST or None, request.user)
        token, secret = self._make(request, form) if form.is_valid() else (None, "")
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": "Create a token", "form": form,
            "token": token, "secret": secret, **(extra_context or {}),
        }  # fmt: skip
        return TemplateResponse(request, "admin/uploads/token/add.html", context)

    def _make(self, request: HttpRequest, form: TokenForm) -> tuple[Token | None, str]:
        values = form.cleaned_data
        scopes, days = Scope.of(values["scopes"]), values["duration"]
        with self.audited(request, values["account"], f"Created the token “{values['name']}” of this account."):
            return make_token(values["account"], values["name"], scopes, timedelta(days=days) if days else None)
        return None, ""  # refused: a message on the page gives the reason
