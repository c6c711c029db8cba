"""Deaths of worker processes as Ray tells them: what Tune must see of them, and what the next process is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.error import TuneError
from ray.tune.schedulers import FIFOScheduler

from sweep.errors import ClusterError

#: What a pack's configuration calls the death of the process before.
DEATH = "death"
#: How Ray's memory monitor says how full the node was: "5.14GB used / 23.54GB limit", before 2.56 "5.14GB / 23.54GB".
FULL = re.compile(r"(\d[\d.]*GB)(?: used)? / (\d[\d.]*GB)")
#: Where Tune heads one failure of a trial in the file of them all.
HEAD = re.compile(r"^Failure # \d+ \(occurred at .*\)$", re.MULTILINE)


class Deaths(FIFOScheduler):  # type: ignore[misc]  # ray has no types
    """Passes on what Ray says of a death: to the process that follows, and by ``told`` to the driver, per Tune trial.

    A scheduler hears of an error before the trial is tried again, and before the searcher is told that it is over.
    """

    def __init__(self, told: Callable[[str, str], None]) -> None:
        super().__init__()
        self._told = told

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        said = cause(_last_error(trial))
        trial.config[DEATH] = said
        self._told(trial.trial_id, said)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles all it is given, to restore a run that we never restore


def cause(said: str) -> str:
    """Why a process died, in a few words; "" where Ray does not know more than that it did."""
    if "running low on memory" not in said:
        return ""
    full = FULL.search(said)
    how = f" ({full[1]} of {full[2]} in use)" if full else ""
    return f"Ray's memory monitor killed it, since the node ran out of memory{how}"


def _last_error(trial: Any) -> str:
    try:
        return HEAD.split(Path(trial.error_file).read_text(errors="replace"))[-1]
    except (OSError, TypeError):  # no folder, hence no file
        return ""


@contextmanager
def deaths_are_deaths() -> Iterator[None]:
    """Ray's actor manager, which Tune runs on, takes what ends a process to be a death whatever its class is.

    A process that the memory monitor kills ends its task with an ``OutOfMemoryError``. That is neither a
    ``RayActorError`` nor a ``RayTaskError``, the two that the manager knows (Ray 2.60), so it would end the whole run.
    There is no hook: the manager is Tune's own. Where a release of Ray has another one, :func:`troubles_in_words`
    still holds.
    """
    from ray.air.execution._internal.actor_manager import RayActorManager

    handle = getattr(RayActorManager, "_actor_task_failed", None)
    if handle is None:
        yield
        return

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        known = isinstance(exception, RayActorError | RayTaskError) or not isinstance(exception, RayError)
        handle(self, tracked_actor_task, exception if known else RayActorError(None, str(exception)))

    RayActorManager._actor_task_failed = failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = handle


@contextmanager
def troubles_in_words() -> Iterator[None]:
    """What Ray and Tune raise of themselves is trouble of the cluster, not of a trial, and no fault of this program.

    Raises:
        ClusterError: in place of it.
    """
    try:
        yield
    except (RayError, TuneError, RuntimeError, AssertionError, ConnectionError) as error:
        if not isinstance(error, RayError | TuneError) and not _rays_own(error):
            raise
        said = str(error)
        # Tune raises tracebacks as texts, whose last line says it; all others begin with what there is to say.
        lines = [line for line in said.splitlines() if line.strip()] or [type(error).__name__]
        first = lines[-1 if lines[0].startswith("Traceback") else 0]
        why = cause(said) or first.strip()[:300]
        raise ClusterError(f"Ray gave the sweep up: {why}; run the same command again") from error


def _rays_own(error: BaseException) -> bool:
    """Whether the line that raised is one of Ray's."""
    raising = [frame for frame, _ in walk_tb(error.__traceback__)][-1:]
    return any(str(frame.f_globals.get("__name__", "")).partition(".")[0] == "ray" for frame in raising)
