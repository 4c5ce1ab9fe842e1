"""What goes wrong on purpose, so that programs can be tested against a service that does not always answer."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

from nbhelpers.errors import UserErrorException

_FORM = re.compile(
    r"(?P<path>.+)=((?P<status>[45]\d\d)|(?P<drop>drop)|(?P<delay>\d{1,3}(\.\d+)?)s)(x(?P<times>[1-9]\d{0,5}))?",
    re.DOTALL,
)


@dataclass
class Fault:
    """Some requests are answered with an error, late, or not at all.

    Attributes
    ----------
    path : str
        Regular expression that is searched for in ``METHOD https://host/path``.
    status : int or None
        Answer with this status, such as 401, 403, 404, 409, 429 or 503.
    delay : float
        Seconds to wait before anything else.
    drop : bool
        Close the connection without an answer.
    times : int
        How many requests are hit; -1 for all.
    """

    path: str
    status: int | None = None
    delay: float = 0
    drop: bool = False
    times: int = -1
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def hits(self, request: str) -> bool:
        """Whether a request is hit, which counts."""
        if not re.search(self.path, request):
            return False
        with self._lock:
            if self.times == 0:
                return False
            self.times -= self.times > 0
            return True


def parse(text: str) -> Fault:
    """The fault that a text such as ``GET .*/history/=503x2`` describes.

    Parameters
    ----------
    text : str
        ``REGEX=WHAT`` or ``REGEX=WHATxTIMES``, where WHAT is a status, ``drop``, or seconds such as ``2.5s``.

    Raises
    ------
    UserErrorException
        It is not of that form.
    """
    remedy = "write REGEX=WHAT, WHAT being a status (400 to 599), drop, or seconds such as 2.5s, and x3 for 3 requests"
    found = _FORM.fullmatch(text)
    if not found:
        raise UserErrorException(f"{text!r} does not describe a fault.", remedy)
    try:
        re.compile(found["path"])
    except re.error as error:
        raise UserErrorException(f"{found['path']!r} is not a regular expression: {error}.", remedy) from error
    return Fault(
        found["path"],
        status=int(found["status"]) if found["status"] else None,
        delay=float(found["delay"] or 0),
        drop=found["drop"] is not None,
        times=int(found["times"] or -1),
    )
