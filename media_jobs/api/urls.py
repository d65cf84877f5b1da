from django.urls import path
from rest_framework.routers import SimpleRouter

from .jobs import ArtifactView, JobViewSet
from .operations import OperationsView

router = SimpleRouter()
router.register("jobs", JobViewSet, basename="job")

urlpatterns = [
    *router.urls,
    path("jobs/<uuid:pk>/artifacts/<str:name>", ArtifactView.as_view(), name="job-artifact"),
    path("operations/", OperationsView.as_view(), name="operations"),
]
