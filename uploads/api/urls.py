from django.urls import path
from rest_framework.routers import SimpleRouter

from .direct import DirectViewSet
from .download import ContentView, link_content
from .files import FileViewSet
from .link_page import link_page
from .me import MeView
from .raw_upload import RawUploadView
from .search import SearchView
from .tokens import TokenViewSet
from .tus import TusViewSet

router = SimpleRouter()
router.register("files", FileViewSet, basename="file")

urlpatterns = [
    *router.urls,
    path("files/<uuid:pk>/content", ContentView.as_view(), name="file-content"),
    path("links/<str:token>/", link_page, name="link-page"),
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
    path("uploads/direct/", DirectViewSet.as_view({"get": "list", "post": "create"}), name="direct-list"),
    path(
        "uploads/direct/<uuid:pk>/",
        DirectViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="direct-detail",
    ),
    path(
        "uploads/direct/<uuid:pk>/parts/",
        DirectViewSet.as_view({"get": "arrived", "post": "sign"}),
        name="direct-parts",
    ),
    path("uploads/direct/<uuid:pk>/complete/", DirectViewSet.as_view({"post": "complete"}), name="direct-complete"),
    path("tokens/", TokenViewSet.as_view({"get": "list", "post": "create"}), name="token-list"),
    path("tokens/<uuid:pk>/", TokenViewSet.as_view({"get": "retrieve", "delete": "destroy"}), name="token-detail"),
    path("search/", SearchView.as_view({"get": "list"}), name="search"),
    path("me/", MeView.as_view(), name="me"),
]
