"""HLS of an MP4 or MOV without a copy: an index of its samples, and segments that are ranges of the original."""
