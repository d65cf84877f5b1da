"""Admin pages of files, uploads, accounts and tokens. media_jobs adds those of jobs, workers and lanes."""

from . import accounts as accounts
from . import files as files
from . import tokens as tokens
from . import uploads as uploads
