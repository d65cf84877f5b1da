"""`make bench`: Millrace against its peers on this machine. Run as `python -m tests.bench`; pytest stays away."""
