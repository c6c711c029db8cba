"""Errors that end a command, each with its exit code (design 3.6, 3.7)."""

from __future__ import annotations

from typing import ClassVar


class SweepError(Exception):
    """Base of every expected error. The message says what, which value, what is allowed, what to do next."""

    exit_code: ClassVar[int] = 1


class BadInputError(SweepError):
    """The grid file, an option or an argument is wrong. Nothing was written."""

    exit_code = 2


class StoreError(SweepError):
    """The store is missing, foreign, newer than this program, or cannot be read or written."""

    exit_code = 3


class OutdatedError(SweepError):
    """A worker has other sources or data than those that the sweep was planned with."""

    exit_code = 3


class ClusterError(SweepError):
    """Ray cannot be reached or started, or has not what the trials ask for."""

    exit_code = 3


class PrepareError(SweepError):
    """Data cannot be prepared now: the hub does not answer, the disk is full, another process is at it."""

    exit_code = 3
