"""What tests need that look at pictures with models."""

import pytest

from media_jobs.understanding.extras import VISION, installed

needs_vision = pytest.mark.skipif(VISION not in installed(), reason='It needs make run EXTRAS="vision".')
