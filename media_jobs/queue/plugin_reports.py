"""Plug-ins that cannot be used, for /readyz, the dashboard, the workers page and `manage.py check`.

The reason is the text of an exception, so only `manage.py check` and the log have it.
"""

from collections.abc import Iterator

from uploads.hooks import ServiceWarning

from ..operations import registry


def warnings() -> Iterator[ServiceWarning]:
    """hooks.warnings: one for each plug-in that is installed here but cannot be used."""
    for plugin in registry.broken:
        yield ServiceWarning(f"plugin_unusable:{plugin.name}", _sentence(plugin.name, plugin.package))


def troubles() -> list[str]:
    return [warning.words for warning in warnings()]


def _sentence(name: str, package: str) -> str:
    return f"The plug-in {name} ({package}) cannot be used. `manage.py check` tells why."
