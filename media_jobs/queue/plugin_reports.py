"""Plug-ins that cannot be used, for /readyz, the dashboard, the workers page and `manage.py check`.

The reason is the text of an exception, so only `manage.py check` and the log have it.
"""

from collections.abc import Iterator

from uploads.hooks import ServiceWarning

from ..detection.registry import broken_plugins
from ..entry_points import BrokenPlugin
from ..operations import registry


def warnings() -> Iterator[ServiceWarning]:
    """hooks.warnings: one for each plug-in that is installed here but cannot be used."""
    for plugin in broken():
        words = f"The plug-in {plugin.name} ({plugin.package}) cannot be used. `manage.py check` tells why."
        yield ServiceWarning(f"plugin_unusable:{plugin.name}", words)


def broken() -> list[BrokenPlugin]:
    """Installed operations and detectors that cannot be used."""
    return [*registry.broken, *broken_plugins()]


def troubles() -> list[str]:
    return [warning.words for warning in warnings()]
