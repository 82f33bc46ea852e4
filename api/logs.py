"""Logs as JSON lines on stderr."""

import logging
import sys

import structlog


def log_to_stderr(level: str) -> None:
    """From `level` (debug, info, warning, error) on, for structlog and for libraries alike."""
    number = logging.getLevelNamesMapping()[level.upper()]
    # Libraries report each request and each attempt below this; our own events say the same in one line.
    library_level = max(number, logging.WARNING)
    steps: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
    ]
    of_libraries = logging.StreamHandler(sys.stderr)
    of_libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *steps],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[of_libraries], level=library_level)
    structlog.configure(
        processors=[*steps, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
