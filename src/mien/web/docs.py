"""The interactive documents of the API: Swagger UI, from files that mien carries."""

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter()

ASSETS = Path(__file__).parent / "swagger"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mien: the API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{assets}/swagger-ui.css">
</head>
<body>
<main id="docs" data-url="{document}"></main>
<script src="{assets}/swagger-ui-bundle.js"></script>
<script src="{assets}/start.js"></script>
</body>
</html>
"""


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Answer with Swagger UI on the API's OpenAPI document."""
    root = request.scope.get("root_path", "")
    return HTMLResponse(_PAGE.format(assets=f"{root}/docs/assets", document=f"{root}/openapi.json"))
