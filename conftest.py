"""Every test, and every kernel that nbval starts, works in a workspace folder of its own."""

from __future__ import annotations

import os
import shutil
import tempfile


def pytest_sessionstart() -> None:
    os.environ["NBHELPERS_HOME"] = tempfile.mkdtemp(prefix="nbhelpers-tests-")
    # The environment's own kernel, not one that the user has registered under the same name.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"


def pytest_sessionfinish() -> None:
    shutil.rmtree(os.environ["NBHELPERS_HOME"], ignore_errors=True)
