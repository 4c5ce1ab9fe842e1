"""What the SDK reports about itself: taken here, and thrown away, so that it never leaves the machine."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

router = APIRouter()


@router.post("/v2/track")
def track() -> dict[str, Any]:
    """Say that all was taken, else the client sends it again and again."""
    return {"itemsReceived": 0, "itemsAccepted": 0, "errors": []}
