"""Checks of what is in deploy/.

It is here, beside the tests, because it shares code with them: tests/unit/test_deploy_files.py runs the cheap checks.
"""
