"""Forms whose file has not been admitted yet. Each holds a thread, and its sender decides how slowly its fields come:
so an account has only so many at a time, as many as it may send uploads. Then admission counts it.
"""

from collections import Counter
from threading import Lock

from ..conf import limits
from ..errors import TooManyUploads
from ..transfers.account_limits import limits_of

_lock = Lock()
_reading: Counter[int] = Counter()  # by account, in this process: it is this process's threads that they hold


class FormTurn:
    """Taken before the first byte of a form is read, or refused. Ends with the form, or when its file is admitted."""

    def __init__(self, account: int) -> None:
        self._account, self._has_ended = account, False
        with _lock:
            _reading[account] += 1
            number = _reading[account]
        # Few accounts have as many: nothing is looked up for the others.
        if number > limits().max_uploads_per_user and number > limits_of(account).max_uploads:
            self.end()
            raise TooManyUploads("Too many forms of yours are on their way. Wait for one to end.", retry_after=10)

    def end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        with _lock:
            _reading[self._account] -= 1
            if not _reading[self._account]:
                del _reading[self._account]
