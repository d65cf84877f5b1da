"""Operations: recipes that make files from files. They do not know jobs; worker/attempt.py runs them."""

from .registry import get, registry
from .shared.parameters import parse, schema

__all__ = ["get", "parse", "registry", "schema"]
