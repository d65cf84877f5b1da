"""Admin pages of jobs, workers and lanes, the dashboard, and panels on the page of a file."""

from . import batches as batches
from . import dashboard as dashboard
from . import jobs as jobs
from . import lanes as lanes
from . import model_endpoints as model_endpoints
from . import presets as presets
from . import workers as workers
