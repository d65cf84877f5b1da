"""Recipes that make files out of files. They know nothing of jobs: running.py gives them what they need."""

from .parsing import parse, schema
from .registry import get, registry

__all__ = ["get", "parse", "registry", "schema"]
