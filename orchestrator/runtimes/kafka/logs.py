"""The worker's log: one JSON object a line on standard error; no member, address or body is ever in it.

Libraries log through the standard library. Their levels are set here by name: an agent whose logger stands at DEBUG
costs time even where nothing shows, and Faust prints whole messages at that level.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict

from orchestrator.runtimes.kafka.ending import place_of

# what a library has to say is worth a line from this level on
LIBRARIES = {
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "aiokafka": logging.WARNING,
    # parts of Faust that are subclassed there log under that name
    "orchestrator.runtimes.kafka.app": logging.WARNING,
    "kafka": logging.ERROR,
    "sqlalchemy": logging.WARNING,
    "asyncio": logging.WARNING,
    "alembic": logging.WARNING,
}


def configure() -> None:
    """Sets up structlog and the standard library's logging for this process."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_values,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_without_error_texts)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.INFO)
    for name, level in LIBRARIES.items():
        logging.getLogger(name).setLevel(level)


def _without_values(_logger: object, _method: str, event: EventDict) -> EventDict:
    """An exception is told by kind and place: its text might quote a member."""
    raised = event.pop("exc_info", None)
    if isinstance(raised, tuple):
        raised = raised[1]
    if isinstance(raised, BaseException):
        event["error"], event["at"] = type(raised).__name__, place_of(raised)
    return event


def _without_error_texts(record: logging.LogRecord) -> bool:
    """A library's line keeps its words, but exceptions among its arguments become their kinds."""
    if isinstance(record.args, tuple):
        record.args = tuple(type(arg).__name__ if isinstance(arg, BaseException) else arg for arg in record.args)
    return True
