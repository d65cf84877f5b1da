"""Keys of the WSGI environ through which the web server and the application pass objects to each other."""

KNOWS_CLIENT = "millrace.knows_client"  # set by the application, called by the worker: are the credentials valid?
EXCHANGE = "millrace.exchange"  # set by the worker, read by the request log: bytes received and sent
