"""What the measuring of lists asks of a server's Django."""

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client

from uploads.models import MediaFile


def cookies_of(name: str) -> dict[str, str]:
    """Of a browser in which this account is signed in."""
    client = Client()
    client.force_login(User.objects.get(username=name))
    return {name: cookie.value for name, cookie in client.cookies.items()}


def columns_of(paths: list[str]) -> dict[str, list[str]]:
    """The names of each list's columns. The first is that of the checkboxes."""
    return {
        path: ["", *map(str, admin.site.get_model_admin(apps.get_model(path.replace("/", "."))).list_display)]
        for path in paths
    }


def oldest_file() -> dict[str, str]:
    """The values that stand for a known file in what is asked for."""
    file = MediaFile.objects.select_related("blob").order_by("created_at")[0]
    return {"@id": str(file.pk), "@sha256": file.blob.sha256}
