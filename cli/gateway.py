"""The verb `gateway`: one gateway process with settings from LATCHKEY_* variables."""

import typer


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("gateway")(gateway)


def gateway() -> None:
    """Takes reports from the broker into history, live state and feed.

    Reads LATCHKEY_POSTGRES_DSN, LATCHKEY_REDIS_URL, LATCHKEY_MQTT_HOST, LATCHKEY_MQTT_PORT,
    LATCHKEY_MQTT_USERNAME, LATCHKEY_MQTT_PASSWORD and more (docs/operating.md lists all).
    Prints one JSON line when ready. SIGTERM drains and exits with 0.

    Example: LATCHKEY_POSTGRES_DSN=postgresql://… LATCHKEY_REDIS_URL=redis://… ./latchkey gateway
    """
    from gateway.app import main

    main()
