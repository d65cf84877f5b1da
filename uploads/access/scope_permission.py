"""Which scope a request needs. Each view declares it, `scopes`, by the method of the class that carries it out."""

from collections.abc import Mapping
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from .. import audit_log
from ..scopes import Scope
from .authentication import principal_of

# By the name of the method that carries a request out: `list` of a viewset, `get` of another view. A token needs one
# of the scopes named.
Scopes = Mapping[str, Scope]
NONE = Scope(0)


class HasScope(BasePermission):
    """Refuse a token that was not made for this. What a view does not declare is refused, to sessions too.

    What follows in this request is done by whom it let in.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        actions = getattr(view, "action_map", None)
        needed = _needed(type(view), actions, request.method or "")
        if needed == NONE:
            return False
        if needed is not None:
            principal = principal_of(request)
            principal.require(needed)
            audit_log.act_as(principal.actor(request.META.get("REMOTE_ADDR", "")))
        return True


def scope_needed(view: Any, method: str) -> Scope | None:
    """What a resolved view needs for a method. None: there is no such method, or the view is none of the API's."""
    if not hasattr(view, "cls"):
        return None
    return _needed(view.cls, getattr(view, "actions", None), method)


def _needed(view: Any, actions: Mapping[str, str] | None, method: str) -> Scope | None:
    verb = method.lower()
    if verb not in view.http_method_names:
        return None
    if verb == "options":
        return Scope.all()  # it tells what there is, and no more
    carried_out = {verb: verb} if actions is None else actions
    name = carried_out.get(verb)
    if verb == "head" and (name is None or not hasattr(view, name)):
        name = "get" if actions is None else actions.get("get")
    if name is None or not hasattr(view, name):
        return None
    declared: Mapping[str, Scope] = getattr(view, "scopes", {})
    return declared.get(name, NONE)
