"""`make drill ARGS="--only soak --minutes 20"`: a Millrace under load, hurt once a minute, must stay as it was."""
