"""`make deploy-check`: tries what is in deploy/, as far as that is possible without a container engine.

It is here, beside the tests, because it shares code with them: tests/unit/test_deploy_files.py runs the cheap checks.
"""
