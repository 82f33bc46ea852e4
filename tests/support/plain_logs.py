"""What code under test logs, as plain text: structlog's default draws every traceback with colours and frames, which
takes longer than most tests."""

import structlog


def log_plainly() -> None:
    """Until somebody configures logs in another way."""
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )
