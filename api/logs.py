"""Logs as JSON lines on stderr."""

import logging
import sys

import structlog


def log_to_stderr(level: str) -> None:
    """From `level` (debug, info, warning, error) on, for structlog and for libraries alike."""
    number = logging.getLevelNamesMapping()[level.upper()]
    # Libraries report each request and each attempt below this; our own events say the same in one line.
    library_level = max(number, logging.WARNING)
    logging.basicConfig(stream=sys.stderr, level=library_level, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
