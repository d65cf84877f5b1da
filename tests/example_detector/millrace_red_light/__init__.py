"""The detector `red_light`: where the picture is bright red. An example of a plug-in: see docs/plugins.md."""

from media_jobs.detection.plugin_api import FrameDetector


class RedLight(FrameDetector):
    name = "red_light"
    title = "Red light"
    things = ("red light", "red lights")
    module = "millrace_red_light.looker"
