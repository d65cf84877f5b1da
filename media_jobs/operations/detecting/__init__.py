"""What `detect` is made of: its parameters, the one run of ffmpeg, and the files that it makes of the finds."""
