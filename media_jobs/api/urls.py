from django.urls import path
from rest_framework.routers import SimpleRouter

from .batches import BatchViewSet
from .hls import HlsView, link_hls
from .jobs import ArtifactView, JobViewSet
from .operations import OperationsView
from .presets import ArrivalView, PresetViewSet
from .previews import PreviewView, link_preview

router = SimpleRouter()
router.register("jobs", JobViewSet, basename="job")
router.register("presets", PresetViewSet, basename="preset")

urlpatterns = [
    # Before the job with the id “batch”.
    path("jobs/batch/", BatchViewSet.as_view({"get": "list", "post": "create"}), name="batch-list"),
    path("jobs/batch/<uuid:pk>/", BatchViewSet.as_view({"get": "retrieve"}), name="batch-detail"),
    path("jobs/batch/<uuid:pk>/cancel/", BatchViewSet.as_view({"post": "cancel"}), name="batch-cancel"),
    path("jobs/batch/<uuid:pk>/retry/", BatchViewSet.as_view({"post": "retry"}), name="batch-retry"),
    *router.urls,
    path("jobs/<uuid:pk>/artifacts/<str:name>", ArtifactView.as_view(), name="job-artifact"),
    path("files/<uuid:pk>/hls/<path:name>", HlsView.as_view(), name="file-hls"),
    path("links/<str:token>/hls/<path:name>", link_hls, name="link-hls"),
    path("files/<uuid:pk>/arrival/", ArrivalView.as_view(), name="file-arrival"),
    path("files/<uuid:pk>/previews/<uuid:job>/<str:name>", PreviewView.as_view(), name="file-preview"),
    path("links/<str:token>/previews/<uuid:job>/<str:name>", link_preview, name="link-preview"),
    path("operations/", OperationsView.as_view(), name="operations"),
]
