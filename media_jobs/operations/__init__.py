"""Recipes that make files out of files. They know nothing of jobs: running.py gives them what they need."""

from .registry import get, registry
from .shared.parameters import parse, schema

__all__ = ["get", "parse", "registry", "schema"]
