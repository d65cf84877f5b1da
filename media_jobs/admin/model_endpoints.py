"""Admin pages of model servers. Only administrators have them. The secret is entered, and never shown again."""

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminPasswordWidget

from uploads.access.sealed_text import seal
from uploads.admin.accounts import ChangedColumnsAdmin
from uploads.admin.lists import cells

from ..models import ModelEndpoint
from ..prediction.endpoint_url import EndpointUrl
from ..queue import endpoint_breaker

_HEADER = re.compile(r"[A-Za-z0-9-]+")
_TAKEN_HEADERS = {
    "accept", "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "te", "trailer",
    "transfer-encoding", "upgrade", "user-agent",
}  # fmt: skip
_SECRET = re.compile(r"[!-~]([ -~]*[!-~])?")  # printable ASCII, which every server reads in the same way
# What an administrator may have mended: the server is tried at once.
_MAY_HELP = {"url", "private_addresses", "active", "timeout"}
# Another of these gives other answers: the version rises with them.
_ANSWER_DEPENDS_ON = {"url", "sends", "rate"}
_RATES = {"wav": (4000, 48000), "frames": (0.01, 60)}


class ModelEndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in its stubs
    new_secret = forms.CharField(
        required=False, max_length=4000, label="Secret", strip=True,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password"}),
        help_text="The value of the header, such as “Bearer …”. It is stored encrypted, and not shown again. If left "
        "empty, the secret stays as it is.",
    )  # fmt: skip

    class Meta:
        model = ModelEndpoint
        exclude: tuple[str, ...] = ()

    def clean_header(self) -> str:
        name: str = self.cleaned_data["header"]
        if name and (not _HEADER.fullmatch(name) or name.lower() in _TAKEN_HEADERS):
            raise forms.ValidationError(
                "This cannot be the name of the header. Authorization or X-Api-Key are usual."
            )
        return name

    def clean_new_secret(self) -> str:
        secret: str = self.cleaned_data["new_secret"]
        if secret and not _SECRET.fullmatch(secret):
            raise forms.ValidationError("The secret must be printable ASCII in one line.")
        return secret

    def clean_version(self) -> int:
        version: int = self.cleaned_data["version"]
        if self.instance.pk and version < self.instance.version:
            raise forms.ValidationError(f"The version is {self.instance.version} already, and can only rise.")
        return version

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        least, most = _RATES.get(found.get("sends", ""), (0, 48000))
        if not least <= found.get("rate", least) <= most:
            self.add_error("rate", f"Choose a rate from {least:g} to {most:g}.")
        has_secret = bool(found.get("new_secret") or self.instance.secret)
        if found.get("header") and not has_secret and "new_secret" not in self.errors:
            self.add_error("new_secret", "Enter the secret that this header carries.")
        if found.get("new_secret") and not found.get("header") and "header" not in self.errors:
            self.add_error("header", "Enter the name of the header that carries the secret.")
        if self._leads_elsewhere(found) and not found.get("new_secret"):
            self.add_error("new_secret", "Enter the secret again: it was for another host.")
        return found

    def _leads_elsewhere(self, found: dict[str, Any]) -> bool:
        """Whether a secret that was entered for one host would be sent to another one."""
        if not (self.instance.secret and found.get("header") and "url" in found):
            return False
        return _origin(self.initial["url"]) != _origin(found["url"])


def _origin(text: str) -> tuple[str, str, int] | None:
    try:
        url = EndpointUrl.parse(text)
    except ValueError:  # the model's validator says what is wrong
        return None
    return url.scheme, url.host, url.port


@admin.register(ModelEndpoint)
class ModelEndpointAdmin(ChangedColumnsAdmin, ModelAdmin):  # type: ignore[misc]
    form = ModelEndpointForm
    list_display = ["name", "title", "url", "sent", "version", "state"]
    ordering = ["name"]
    sortable_by = ["name"]
    fieldsets = [
        (None, {"fields": ["name", "title", "active"]}),
        ("Where", {"fields": ["url", "private_addresses", "header", "new_secret"]}),
        ("What is sent", {"fields": ["sends", "rate"]}),
        ("Answers", {"fields": ["version", "shares_answers"]}),
        ("Limits", {"fields": ["timeout", "concurrency", "retries"]}),
    ]

    @admin.display(description="sends")
    def sent(self, endpoint: ModelEndpoint) -> str:
        return endpoint.content.words

    @admin.display(description="state")
    def state(self, endpoint: ModelEndpoint) -> SafeString:
        if not endpoint.active:
            value, label = "cancelled", "switched off"
        elif endpoint.failures:
            value, label = "failed" if endpoint.is_tried else "queued", endpoint_breaker.trouble(endpoint)
        else:
            value, label = "succeeded", "ready"
        return cells.state_badge(endpoint, value, label, is_active=False)

    def get_readonly_fields(self, request: HttpRequest, obj: ModelEndpoint | None = None) -> list[str]:
        return [] if obj is None else ["name"]  # presets and jobs name it

    def save_model(self, request: HttpRequest, obj: ModelEndpoint, form: Any, change: bool) -> None:
        changed = form.changed_data
        if secret := form.cleaned_data["new_secret"]:
            obj.secret = seal(secret)
            changed.append("secret")
        elif not obj.header and obj.secret:
            obj.secret = ""
            changed.append("secret")
        if change and _ANSWER_DEPENDS_ON.intersection(changed) and "version" not in changed:
            obj.version += 1
            changed.append("version")
        if _MAY_HELP.intersection(changed):
            obj.failures, obj.reason, obj.next_try = 0, "", None
            changed += ["failures", "reason", "next_try"]
        super().save_model(request, obj, form, change)
