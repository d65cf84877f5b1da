"""The parts of the operation `render`: its parameters and plan, one clip, the joined picture and sound, subtitles."""
