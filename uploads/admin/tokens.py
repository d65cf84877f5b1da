"""Tokens: staff make them for an account, see the secret once, and revoke them by deleting."""

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

from ..access import policy
from ..access.tokens import DEFAULT_LIFETIME, make_token
from ..models import Token
from ..scopes import Scope
from ..templatetags.local_times import local_time
from .lists.model_admin import ReadOnlyAdmin

_SCOPES = {
    Scope.UPLOAD: "upload: send files, see its uploads, give up unfinished ones",
    Scope.READ: "read: see and download what the account may see",
    Scope.WORK: "work: submit, cancel and retry jobs",
    Scope.ADMIN: "admin: rename, share and delete files, delete jobs, manage tokens",
}
_NUMBER = re.compile(r"[0-9]{1,9}")
_NEVER = 0
_LASTING = {30: "30 days", DEFAULT_LIFETIME.days: "90 days", 365: "a year", _NEVER: "until it is revoked"}


class AccountSelect(AutocompleteSelect):
    """Shows nothing chosen where what was sent is no number of an account: Django's own looks it up, and fails."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        return super().optgroups(name, [number for number in value if _NUMBER.fullmatch(number)], attr)


class TokenForm(forms.Form):
    account = forms.ModelChoiceField(
        User.objects.filter(is_active=True), help_text="The token acts for it, with its rights.",
        widget=AccountSelect(Token._meta.get_field("user"), admin.site),
    )  # fmt: skip
    name = forms.CharField(
        max_length=100, help_text="What it is for: the program or device that gets it.",
        widget=UnfoldAdminTextInputWidget,
    )  # fmt: skip
    scopes = forms.MultipleChoiceField(
        choices=[(scope.words[0], text) for scope, text in _SCOPES.items()],
        initial=(Scope.UPLOAD | Scope.READ | Scope.WORK).words, widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )  # fmt: skip
    lasting = forms.TypedChoiceField(
        label="It works for", coerce=int, choices=[*_LASTING.items()], initial=DEFAULT_LIFETIME.days,
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip

    def __init__(self, data: Any, giver: Any) -> None:
        super().__init__(data)
        self._giver = giver

    def clean_account(self) -> User:
        account: User = self.cleaned_data["account"]
        if not policy.may_give_token(self._giver, account):
            raise forms.ValidationError("This account may do more than you may, and so could its token.")
        return account


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    list_display = ["name", "user", "scope", "begins", "created", "expires"]
    list_select_related = ["user"]
    fields = ["name", "user", "scope", "begins", "created", "expires"]
    readonly_fields = ["scope", "begins", "expires"]
    ordering = ["-created"]

    @admin.display(description="expires", ordering="expiry")
    def expires(self, token: Token) -> Any:
        return local_time(token.expiry) if token.expiry else "never"

    @admin.display(description="scopes")
    def scope(self, token: Token) -> str:
        return ", ".join(token.scopes)

    @admin.display(description="begins with")
    def begins(self, token: Token) -> str:
        return f"{token.prefix}…"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("uploads.add_token")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The form, and after it the secret, in the answer to the form: it is kept nowhere."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = TokenForm(request.POST or None, request.user)
        token, secret = self._make(request, form) if form.is_valid() else (None, "")
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": "Make a token", "form": form,
            "token": token, "secret": secret, **(extra_context or {}),
        }  # fmt: skip
        return TemplateResponse(request, "admin/uploads/token/add.html", context)

    def _make(self, request: HttpRequest, form: TokenForm) -> tuple[Token | None, str]:
        said = form.cleaned_data
        scopes, days = Scope.of(said["scopes"]), said["lasting"]
        with self.audited(request, said["account"], f"Made the token “{said['name']}” of this account."):
            return make_token(said["account"], said["name"], scopes, timedelta(days=days) if days else None)
        return None, ""  # refused, and the page says why
