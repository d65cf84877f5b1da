"""Loading without the search for garbage, which goes through all that was loaded so far, again and again, in vain:
a tenth of every start. config.settings begins it, and config.apps, the last of the apps, ends it."""

import gc


def begin() -> None:
    gc.disable()


def end() -> None:
    """From now on garbage is looked for, though never among what was loaded by now: that stays."""
    gc.freeze()
    gc.enable()
