"""The pipeline service: modules, graphs, runs and published pipelines."""

from __future__ import annotations

from fastapi import APIRouter

from nbhelpers.emulator import modules, pipeline_runs, published

router = APIRouter()
for part in (modules, pipeline_runs, published):
    router.include_router(part.router)
