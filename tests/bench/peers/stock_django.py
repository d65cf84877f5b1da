"""A Django project in one file: the stock handler that spools to disk, the stock storage, then a second read."""

from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.bench.peers.disk import FOLDER, new_path, sync_and_reread

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    FILE_UPLOAD_HANDLERS=["django.core.files.uploadhandler.TemporaryFileUploadHandler"],
    FILE_UPLOAD_TEMP_DIR=str(FOLDER),  # on the disk of MEDIA_ROOT: the move is a rename
    MEDIA_ROOT=str(FOLDER),
    ROOT_URLCONF=__name__,
    SECRET_KEY="for measuring",
)


def upload(request: HttpRequest) -> JsonResponse:
    file = request.FILES["file"]
    assert isinstance(file, UploadedFile)
    name = default_storage.save(new_path().name, file)
    return JsonResponse({"sha256": sync_and_reread(Path(default_storage.path(name)))})


urlpatterns = [path("form", upload)]
application = get_wsgi_application()
