"""What packages with detectors of their own may import. Names in this module stay; others may change at any time.

docs/plugins.md describes them.
"""

from .detector import FilterDetector, FrameDetector, Looker, Marked, Picture
from .sightings import Box, Find, Sighting

__all__ = ["Box", "FilterDetector", "Find", "FrameDetector", "Looker", "Marked", "Picture", "Sighting"]
