"""The interactive documents of the API: Swagger UI, from files that mien carries."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import HTMLResponse

router = APIRouter()

ASSETS = Path(__file__).parent / "swagger"

# Addresses are relative, since a proxy may serve all of it below a path that mien never sees.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mien: the API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<main id="docs" data-url="openapi.json"></main>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/start.js"></script>
</body>
</html>
"""


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Answer with Swagger UI on the API's OpenAPI document."""
    return HTMLResponse(_PAGE)
