"""Sign-in, as Microsoft Entra ID answers a service principal with a secret."""

from __future__ import annotations

import hmac
import uuid
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from nbhelpers.emulator.names import CLIENT, LOGIN, TENANT
from nbhelpers.emulator.state import State
from nbhelpers.emulator.tokens import LIFETIME, make_token
from nbhelpers.local.store import now

router = APIRouter()


@router.get("/common/discovery/instance")
def instances() -> dict[str, Any]:
    """Where the tenants of this cloud are asked, which a client wants to know before it sends a secret."""
    host = LOGIN.removeprefix("https://")
    return {
        "tenant_discovery_endpoint": f"{LOGIN}/{TENANT}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }


@router.get("/{tenant}/v2.0/.well-known/openid-configuration")
@router.get("/{tenant}/.well-known/openid-configuration")
def configuration(tenant: str) -> Any:
    """The addresses of a tenant."""
    if tenant.lower() not in (TENANT, "common", "organizations"):
        return _refused(400, "invalid_tenant", 90002, f"Tenant {tenant!r} is not {TENANT!r}, the emulated one.")
    return {
        "issuer": f"{LOGIN}/{TENANT}/v2.0",
        "authorization_endpoint": f"{LOGIN}/{TENANT}/oauth2/v2.0/authorize",
        "token_endpoint": f"{LOGIN}/{TENANT}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{LOGIN}/{TENANT}/oauth2/v2.0/devicecode",
    }


@router.post("/{tenant}/oauth2/v2.0/token")
async def token(request: Request, tenant: str) -> Any:
    """An access token for the id and the secret of the service principal."""
    cloud: State = request.app.state.cloud
    form = {name: values[0] for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
    if tenant.lower() != TENANT:
        return _refused(400, "invalid_tenant", 90002, f"Tenant {tenant!r} is not {TENANT!r}, the emulated one.")
    if form.get("grant_type") != "client_credentials":
        message = f"The emulated cloud knows service principals with a secret only, not {form.get('grant_type')!r}."
        return _refused(400, "unsupported_grant_type", 70003, message)
    if form.get("client_id") != CLIENT:
        message = f"Application {form.get('client_id')!r} is not {CLIENT!r}, the emulated service principal."
        return _refused(400, "unauthorized_client", 700016, message)
    if not hmac.compare_digest(form.get("client_secret", "").encode(), cloud.client_secret.encode()):
        return _refused(401, "invalid_client", 7000215, "Invalid client secret provided.")
    audience = form.get("scope", "").removesuffix("/.default")
    return {"token_type": "Bearer", "expires_in": LIFETIME, "access_token": make_token(cloud, audience)}


def _refused(status: int, error: str, number: int, message: str) -> JSONResponse:
    """An answer in the form of OAuth 2.0 with the members that Microsoft's client library reads."""
    identity = str(uuid.uuid4())
    body = {
        "error": error,
        "error_description": f"AADSTS{number}: {message}",
        "error_codes": [number],
        "timestamp": now(),
        "trace_id": identity,
        "correlation_id": identity,
    }
    return JSONResponse(body, status)
