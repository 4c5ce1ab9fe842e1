#: nbval would run it in this environment; test_sdk_v1_flow.py runs it under the emulator.
collect_ignore = ["sdk_v1_flow.ipynb"]
