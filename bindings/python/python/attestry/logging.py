"""A handler for the package ``logging``.

>>> import logging, tempfile
>>> from attestry import AuditLogger
>>> from attestry.logging import AuditHandler
>>> audit = AuditLogger(tempfile.mkdtemp())
>>> log = logging.getLogger("model")
>>> log.addHandler(AuditHandler(audit))
>>> log.warning("answered", extra={"audit": {"input": "2+2?", "output": "4"}})
>>> audit.count()
1
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ._sync import AuditLogger

__all__ = ["AuditHandler"]


class AuditHandler(logging.Handler):
    """Records the interactions in log records.

    A log record with a dictionary ``audit`` in its ``extra``, whose keys are the parameters of
    ``AuditLogger.log``, becomes an entry, which is on stable storage when the call that logs returns.
    Other log records are ignored. The names of the logger and the level become metadata.

    Args:
        logger: A logger with plain methods.
        level: The lowest level that is handled.
        on_error: ``"fail"``: the call that logs raises if nothing can be recorded. ``"serve"``: the
            failure goes to ``logging``'s own ``handleError``.
    """

    def __init__(
        self, logger: AuditLogger, level: int | str = logging.NOTSET, *, on_error: str = "fail"
    ) -> None:
        super().__init__(level)
        if on_error not in ("fail", "serve"):
            raise ValueError(f"on_error is 'fail' or 'serve', not {on_error!r}")
        self._logger = logger
        self._serve = on_error == "serve"

    def emit(self, record: logging.LogRecord) -> None:
        """Record the interaction of a log record."""
        audit: Mapping[str, Any] | None = getattr(record, "audit", None)
        if audit is None:
            return
        fields = dict(audit)
        fields["metadata"] = {
            "log.logger": record.name,
            "log.level": record.levelname,
            **(fields.get("metadata") or {}),
        }
        try:
            self._logger.log(**fields)
        except Exception:
            if not self._serve:
                raise
            self.handleError(record)
