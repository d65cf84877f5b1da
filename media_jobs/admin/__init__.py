"""The control room's pages about work: jobs, workers, lanes; and what work adds to a file's page."""

from . import dashboard as dashboard
from . import jobs as jobs
from . import lanes as lanes
from . import workers as workers
