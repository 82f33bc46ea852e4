"""The files of the page, with what a browser is told about them."""

import os
from typing import Final

from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

TILES: Final = "https://tile.openstreetmap.org"
"""Where the page gets the pictures of its map."""

HEADERS: Final = {
    # Text of a device that became part of the page could load nothing, run nothing and send the token nowhere.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "worker-src 'self' blob:",
            "style-src 'self' 'unsafe-inline'",
            f"img-src 'self' data: blob: {TILES}",
            f"connect-src 'self' {TILES}",
            "font-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
}


class PageFiles(StaticFiles):
    """A folder of built files; `index.html` stands for the folder."""

    def __init__(self, directory: os.PathLike[str]) -> None:
        super().__init__(directory=directory, html=True)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """As the base class, also where nothing has changed since the browser asked."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response
