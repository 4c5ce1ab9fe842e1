"""The application of the emulated cloud: a router for each service, and a clear answer for all calls that have none."""

from __future__ import annotations

from importlib import import_module

from fastapi import FastAPI, Request

from nbhelpers.emulator.errors import CloudError, add_handlers
from nbhelpers.emulator.front import Front
from nbhelpers.emulator.run_files import files_of_runs
from nbhelpers.emulator.state import State
from nbhelpers.service.limits import Limits

#: The modules of the services, by the beginning of their paths (see `nbhelpers.emulator.front`).
SERVICES = {
    "/login": "login",
    "/arm": "management",
    "/api": "discovery",
    "/api/rp/workspaces": "compute",
    "/api/history/v1.0": "history",
    "/api/artifact/v2.0": "artifacts",
    "/api/metric/v2.0": "metrics",
    "/api/dataset/v1.0": "datasets",
    "/api/data/v1.0": "data_versions",
    "/api/datastore/v1.0": "datastores",
    "/api/content": "snapshots",
    "/api/environment/v1.0": "environments",
    "/api/jasmine/v1.0": "automl",
    "/api/pipelines/v1.0": "pipelines",
    "/blob": "storage",
    "/telemetry": "telemetry",
    "/elsewhere": "elsewhere",
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(cloud: State) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    cloud : State
        What the services share; routes find it as ``request.app.state.cloud``.
    """
    app = FastAPI(title="Emulated Azure ML", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    cloud.blobs.sources = [files_of_runs(cloud)]
    app.state.cloud, app.state.workspace, app.state.limits = cloud, cloud.workspace, Limits(head_seconds=600)
    add_handlers(app)
    app.add_middleware(Front, cloud=cloud)
    for prefix, name in SERVICES.items():
        app.include_router(import_module(f"nbhelpers.emulator.{name}").router, prefix=prefix)

    @app.api_route("/{path:path}", methods=METHODS)
    def not_emulated(request: Request, path: str) -> None:  # noqa: ARG001
        raise CloudError(
            501,
            "NotEmulated",
            f"The emulator does not answer {request.method} {request.state.url}. The README lists the SDK's calls that "
            "it does; run this one on Azure.",
        )

    return app
