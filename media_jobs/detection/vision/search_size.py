"""How large frames are when text is searched in them: two sizes in turn.

In one size the model misses a line now and then, in several frames that hardly differ. In another size it sees it.
"""

_LONGEST = (960, 800)  # pixels of the longer side: smaller letters are found in larger pictures, which take longer


def longest_side(time: float, max_fps: float) -> int:
    """By the time of the frame, and not by the frame before it: a frame is searched alike in every span."""
    return _LONGEST[round(time * max_fps) % len(_LONGEST)]
