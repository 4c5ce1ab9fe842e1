from __future__ import annotations

import IPython.core.display
import IPython.display
import pytest

from nbhelpers.azure import _mend_widgets


def test_azureml_widgets_find_what_ipython_9_has_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(IPython.core.display), "display", raising=False)
    _mend_widgets()
    assert vars(IPython.core.display)["display"] is IPython.display.display
