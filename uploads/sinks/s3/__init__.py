"""The Sink in an S3 bucket, by the client and the options of a django-storages backend."""
