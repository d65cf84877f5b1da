"""Hashes passwords in the process of the tests. A real hash takes a third of a second, and many tests sign in."""

from config.login import BoundedHasher


class QuickHasher(BoundedHasher):
    """The service's, with one round."""

    iterations = 1
