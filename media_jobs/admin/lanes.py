"""Admin page of lanes: their queued and running jobs, and actions to pause and resume them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from uploads.admin.lists import cells
from uploads.admin.lists.model_admin import LiveAdmin

from .. import permissions
from ..models import Lane
from ..queue import lanes


@admin.register(Lane)
class LaneAdmin(LiveAdmin):
    """The list of lanes. There are only a few, so that the jobs of each can be counted."""

    list_display = ["name", "state_now", "workers", "running", "queued"]
    fields = readonly_fields = ["name", "state_now", "workers", "running", "queued"]
    list_before_template = "admin/media_jobs/about_lanes.html"
    actions = ["pause", "resume"]
    live_since = ""

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return permissions.may_steer_lanes(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description="Pause: start no further jobs", permissions=["steer"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Lane]) -> None:
        self._act(request, queryset, lanes.pause, "Paused")

    @admin.action(description="Resume: start jobs again", permissions=["steer"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Lane]) -> None:
        self._act(request, queryset, lanes.resume, "Resumed")

    def _act(self, request: HttpRequest, chosen: QuerySet[Lane], verb: Callable[[str], None], action: str) -> None:
        for lane in chosen:
            with self.audited(request, lane, f"{action}."):
                verb(lane.name)
                messages.success(request, f"{action}: {lane.name}.")

    def live_row(self, row: Any) -> dict[str, Any]:
        """Always active: a lane never ends."""
        now, state = lanes.overview(row.name), _state(row)
        numbers = {"workers": now.workers, "running": now.running, "queued": now.queued}
        return {"state": state, "label": state, "active": True} | numbers

    @admin.display(description="state")
    def state_now(self, lane: Lane) -> SafeString:
        return cells.state_badge(lane, _state(lane), _state(lane), is_active=True)

    @admin.display(description="workers")
    def workers(self, lane: Lane) -> SafeString:
        return cells.live_text(lane, "workers", str(_overview(lane).workers))

    @admin.display(description="running")
    def running(self, lane: Lane) -> SafeString:
        return cells.live_text(lane, "running", str(_overview(lane).running))

    @admin.display(description="queued")
    def queued(self, lane: Lane) -> SafeString:
        return cells.live_text(lane, "queued", str(_overview(lane).queued))


def _state(lane: Lane) -> str:
    return "paused" if lane.paused else "open"


def _overview(lane: Any) -> lanes.Overview:
    """The numbers of a row, counted once for its three columns."""
    if not hasattr(lane, "overview"):
        lane.overview = lanes.overview(lane.name)
    found: lanes.Overview = lane.overview
    return found
