from django.urls import path
from rest_framework.routers import SimpleRouter

from .views.download import ContentView, link_content
from .views.files import FileViewSet
from .views.raw import RawUploadView
from .views.tus import TusViewSet

router = SimpleRouter()
router.register("files", FileViewSet, basename="file")

urlpatterns = [
    *router.urls,
    path("files/<uuid:pk>/content", ContentView.as_view(), name="file-content"),
    path("links/<str:token>/<path:name>", link_content, name="link-content"),
    path("upload/<path:name>", RawUploadView.as_view(), name="upload"),
    path("uploads/", TusViewSet.as_view({"get": "list", "post": "create"}), name="upload-list"),
    path(
        "uploads/<uuid:pk>",
        TusViewSet.as_view(
            {"get": "retrieve", "head": "offset", "patch": "partial_update", "put": "update", "delete": "destroy"}
        ),
        name="upload-detail",
    ),
]
