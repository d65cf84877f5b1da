"""Lanes as staff see them: what waits and runs in each, and whether it takes jobs at all."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from uploads.admin.lists import cells
from uploads.admin.lists.model_admin import LiveAdmin

from .. import policy
from ..models import Lane
from ..queue import lanes


@admin.register(Lane)
class LaneAdmin(LiveAdmin):
    """The few that there are: each is counted as it is shown."""

    list_display = ["name", "state_now", "workers", "running", "queued"]
    fields = readonly_fields = ["name", "state_now", "workers", "running", "queued"]
    list_before_template = "admin/media_jobs/about_lanes.html"
    actions = ["pause", "resume"]
    live_since = ""

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return policy.may_steer_lanes(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description="Pause: start none of its jobs", permissions=["steer"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Lane]) -> None:
        self._steer(request, queryset, lanes.pause, "Paused")

    @admin.action(description="Resume: start its jobs again", permissions=["steer"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Lane]) -> None:
        self._steer(request, queryset, lanes.resume, "Resumed")

    def _steer(self, request: HttpRequest, chosen: QuerySet[Lane], verb: Callable[[str], None], deed: str) -> None:
        for lane in chosen:
            with self.audited(request, lane, f"{deed}."):
                verb(lane.name)
                messages.success(request, f"{deed}: {lane.name}.")

    def live_row(self, row: Any) -> dict[str, Any]:
        """A lane never comes to an end."""
        now, state = lanes.overview(row.name), _state(row)
        numbers = {"workers": now.workers, "running": now.running, "queued": now.queued}
        return {"state": state, "label": state, "active": True} | numbers

    @admin.display(description="state")
    def state_now(self, lane: Lane) -> SafeString:
        return cells.state_badge(lane, _state(lane), _state(lane), is_active=True)

    @admin.display(description="live workers")
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
    """Counted once for a row, which asks for each number by itself."""
    if not hasattr(lane, "overview"):
        lane.overview = lanes.overview(lane.name)
    found: lanes.Overview = lane.overview
    return found
