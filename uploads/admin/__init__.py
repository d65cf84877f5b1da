"""The control room's pages about files, uploads and accounts. media_jobs adds those about work."""

from . import accounts as accounts
from . import files as files
from . import tokens as tokens
from . import uploads as uploads
