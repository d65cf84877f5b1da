"""Reads facts from media files, and verifies outputs, in a child process inside the sandbox.

`probe` and `verification` start the child process. `child_process` and `video_stream` run in it: they alone load
ffmpeg's libraries.
"""

# Exit codes of the child process.
EXIT_REFUSED = 3  # the file is refused; the reason is on stdout
EXIT_UNCONFINED = 4  # Landlock could not confine the process, which is not the file's fault
