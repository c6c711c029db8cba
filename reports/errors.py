"""The one error that a report raises on purpose."""

from __future__ import annotations


class ReportError(Exception):
    """The store cannot be reported on, or the output cannot be written. The message says what and what to do."""
