"""Presets: save, change and delete them, find the one that a request names, and check what it still can do.

An operation may change after a preset was saved: its parameters are checked again each time that it is used.
"""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import QuerySet

from uploads import audit_log
from uploads.access.permissions import Account
from uploads.errors import InvalidParams, Refusal
from uploads.runtime.database_connections import write
from uploads.text.file_names import visible_text

from .. import operations, permissions
from ..errors import NameTaken, PresetInvalid, UnknownPreset
from ..models import PRESET_NAME_LENGTH, Preset
from ..operations.base import Params
from .extras import require_available

MOST_OF_OWNER = 500
_MOST_NAMED = 20  # in an error message


def save(owner: User | None, name: str, operation: str, params: Any, *, on_arrival: bool = False) -> Preset:
    """Save a new preset of this owner; None: for all accounts."""
    preset = Preset(owner=owner, name=_valid_name(name), on_arrival=on_arrival)
    _set(preset, operation, params)
    if Preset.objects.filter(owner=owner).count() >= MOST_OF_OWNER:
        raise InvalidParams(f"There are {MOST_OF_OWNER} presets already. Delete one first.")
    _write(preset, "Saved", is_new=True)
    return preset


def change(
    preset: Preset,
    *,
    name: str | None = None,
    operation: str | None = None,
    params: Any = None,
    on_arrival: bool | None = None,
) -> Preset:
    """Change what is given. With another operation, parameters that are not given are its defaults."""
    if name is not None:
        preset.name = _valid_name(name)
    if operation is not None or params is not None:
        kept = preset.params if operation in {None, preset.operation} else {}
        _set(preset, operation or preset.operation, kept if params is None else params)
    if on_arrival is not None:
        preset.on_arrival = on_arrival
    _write(preset, "Changed")
    return preset


def _set(preset: Preset, operation: str, params: Any) -> None:
    found = operations.get(operation)
    parsed = operations.parse(found, params)
    preset.operation, preset.params = found.name, parsed.model_dump(mode="json", exclude_unset=True)


def _write(preset: Preset, verb: str, *, is_new: bool = False) -> None:
    columns = None if is_new else ["name", "operation", "params", "on_arrival"]
    try:
        with write():
            preset.save(force_insert=is_new, update_fields=columns)
            audit_log.note(preset, f"{verb}.", audit_log.ADDITION if is_new else audit_log.CHANGE)
    except IntegrityError as error:
        whose = "for all accounts" if preset.owner_id is None else "of this account"
        raise NameTaken(
            f"There is a preset “{preset.name}” {whose}. Choose another name, or change that one."
        ) from error


def delete(preset: Preset) -> None:
    """Jobs that were made from it keep its name."""
    with write():
        audit_log.note(preset, "Deleted.", audit_log.DELETION)
        Preset.objects.filter(pk=preset.pk).delete()


def note_choice(preset: Preset, runs: bool | None) -> None:
    """Write to the audit log what an account chose about its own uploads."""
    what = {True: "Switched on", False: "Switched off", None: "Set as for all accounts"}[runs]
    audit_log.note(preset, f"{what} for the uploads of this account.")


def _valid_name(raw: str) -> str:
    """The name as it is stored. It can stand in a list with commas, and cannot be taken for an id."""
    name = visible_text(raw)
    if not name or len(name) > PRESET_NAME_LENGTH or "," in name or as_id(name):
        most = f"at most {PRESET_NAME_LENGTH} visible characters"
        raise InvalidParams(f"The name of a preset has {most} and no comma, and does not look like an id.")
    return name


def as_id(text: str) -> UUID | None:
    """The text as the id of a preset; None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def find(user: Account, text: str) -> Preset:
    """The preset with this name or id that the account may use. Its own presets come before those for all."""
    usable, name, pk = permissions.usable_presets(user), visible_text(text), as_id(text)
    found = usable.filter(pk=pk) if pk else usable.filter(name=name)
    preset = max(found, key=lambda each: each.owner_id is not None, default=None)
    if preset is None:
        raise UnknownPreset(f"There is no preset “{name[:PRESET_NAME_LENGTH]}”. {_names(usable)}")
    return preset


def _names(usable: QuerySet[Preset]) -> str:
    names = list(dict.fromkeys(usable.order_by("name").values_list("name", flat=True)[: _MOST_NAMED + 1]))
    if not names:
        return "Your account has no presets."
    return f"Choose one of: {', '.join(names[:_MOST_NAMED])}{', …' if len(names) > _MOST_NAMED else '.'}"


def parsed(preset: Preset) -> Params:
    """The preset's parameters for its operation, as that is now. Raises PresetInvalid."""
    found = _checked(preset)
    if isinstance(found, str):
        raise PresetInvalid(f"The preset “{preset.name}” cannot be used: {found}")
    return found


def trouble(preset: Preset) -> str:
    """Why the preset cannot be used now, and what to do about it. Empty if it can."""
    found = _checked(preset)
    if isinstance(found, str):
        return found
    try:
        require_available(operations.get(preset.operation), found)
    except Refusal as missing:
        return missing.detail
    return ""


def _checked(preset: Preset) -> Params | str:
    """Its parameters; or why it cannot be used, and what to do."""
    operation = operations.registry.get(preset.operation)
    if operation is None:
        gone = f"this server has no operation “{preset.operation}” any more."
        return f"{gone} Delete the preset, or choose another operation."
    try:
        params: Params = operations.parse(operation, preset.params)
    except Refusal as wrong:
        return f"{wrong.detail} Change the parameters of the preset."
    return params
