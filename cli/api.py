"""The verb `api`: one API process with settings from LATCHKEY_* variables."""

import typer


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("api")(api)


def api() -> None:
    """Serves REST, the live map's WebSocket, the documentation and the page.

    Reads LATCHKEY_POSTGRES_DSN, LATCHKEY_REDIS_URL, LATCHKEY_API_HOST (127.0.0.1 unless set), LATCHKEY_API_PORT,
    LATCHKEY_WEB_DIR and others: docs/operating.md. Prints one JSON line when ready. SIGTERM closes and exits with 0.

    Example: LATCHKEY_API_PORT=8080 LATCHKEY_WEB_DIR=web/dist ./latchkey api
    """
    from api.app import main

    main()
