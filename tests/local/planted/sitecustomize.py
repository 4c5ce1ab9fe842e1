"""Executes the statements of `tests.local.faults.plant`; every new Python process reads it from its PYTHONPATH.

It imports nothing of ours by itself: functions get their fault when something else has imported their module.
"""

import ctypes  # noqa: F401 - the statements use these
import functools
import importlib.machinery
import json
import multiprocessing  # noqa: F401
import os
import signal  # noqa: F401
import sys
import time  # noqa: F401

FAULTS = json.loads(os.environ["NBHELPERS_TEST_FAULTS"])


def fill(room=0):
    """Fill the disk of the workspace, which is a worker's current folder, but for some bytes.

    If none is left, the log has not one more line either.
    """
    with open("filling", "wb", buffering=0) as file:  # noqa: PTH123
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(file.tell() - room)
    try:
        while not room:
            os.write(1, b"\n")
    except OSError:
        pass


def with_fault(function, statement):
    @functools.wraps(function)
    def faulty(*args, **named):
        exec(statement, globals(), {"args": args})  # noqa: S102
        return function(*args, **named)

    return faulty


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):  # noqa: ARG004 - as Python calls it
        faults = {place.partition(":")[2]: fault for place, fault in FAULTS.items() if place.startswith(f"{name}:")}
        if not faults:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            for function, statement in faults.items():
                *owner, last = function.split(".")
                holder = functools.reduce(getattr, owner, module)
                setattr(holder, last, with_fault(getattr(holder, last), statement))

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder)
