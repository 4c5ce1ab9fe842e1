"""The service that `serving` starts: it ends with the program at the other end of its standard input."""

import sys

from nbhelpers.errors import ConflictError, NbhelpersError
from nbhelpers.local.workspace import Workspace
from nbhelpers.service.server import serve

try:
    serve(Workspace.from_config(), lifeline=sys.stdin.buffer)
except ConflictError:  # another one was faster, or is ending: `serving` sees which
    pass
except NbhelpersError as error:
    sys.exit(f"error: {error}")
