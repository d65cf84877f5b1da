"""What can be seen and heard in media: detectors, and the way from what they see in single frames to finds."""
