"""Every address and method of the API, found in its URLs: also those that come later."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from django.urls import Resolver404, URLResolver, get_resolver, resolve

API = "/api/v1/"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CHANGING = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Endpoint:
    method: str
    address: str  # with made-up arguments
    name: str  # of the URL pattern
    view: Any

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


def endpoints() -> list[Endpoint]:
    found = []
    for address in sorted({*addresses(get_resolver("config.urls"))}):
        if address.startswith(API):
            match = resolve(address)
            names = (name for name in METHODS if _answers(match.func, name))
            found += [Endpoint(method, address, match.url_name or "", match.func) for method in names]
    return found


def _answers(view: Any, method: str) -> bool:
    verb = method.lower()
    if not hasattr(view, "cls"):  # a function: whatever it is asked
        return method in {"GET", "HEAD"}
    if verb not in view.cls.http_method_names:
        return False
    actions = getattr(view, "actions", None)
    if verb == "head":
        return _answers(view, "GET") or (actions is not None and verb in actions)
    return hasattr(view.cls, verb if actions is None else actions.get(verb, "no such"))


def addresses(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    """Every address that a URLconf knows, with made-up arguments."""
    for routes in resolver.reverse_dict.lists():
        for possibilities, _, _, _ in routes[1]:
            for route, names in possibilities:
                yield _made_up(prefix + route, names)
    for folder, below in resolver.namespace_dict.values():
        yield from addresses(below, prefix + folder)


def _made_up(route: str, names: list[str]) -> str:
    for values in product(("made-up", str(uuid.UUID(int=7)), "7", "a" * 64), repeat=len(names)):
        address = route % dict(zip(names, values, strict=True))
        try:
            resolve(address)
        except Resolver404:
            continue
        return address
    raise AssertionError(f"{route} takes an argument of which this test knows no example")
