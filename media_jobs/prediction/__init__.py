"""Sends content to a model server over HTTP, and reads its JSON answer. No Django.

The server is chosen by an administrator, and is not trusted: it may be slow, lie, redirect, or answer without end.
"""
