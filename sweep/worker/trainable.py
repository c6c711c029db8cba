"""The pack as Ray Tune runs it: one actor process, advanced in steps, reused for pack after pack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ray import tune

from sweep.errors import StoreError
from sweep.store.store import open_store
from sweep.worker.job import Context, Job
from sweep.worker.pack import Pack, Report, as_result


@dataclass(frozen=True)
class Table:
    """All jobs of a run as JSON texts, put into Ray's object store once; a pack names its own by number."""

    jobs: tuple[str, ...]
    context: Context
    step_seconds: float


class PackTrainable(tune.Trainable):  # type: ignore[misc]  # ray has no types
    """Runs the pack that its configuration names: ``pack`` (its key), ``tasks``, ``cpu``, ``gpu``, ``limit``.

    After a death of its process, ``death`` is what Ray knows of it.
    """

    def setup(self, config: dict[str, Any], table: Table | None = None) -> None:
        assert table is not None
        self._table = table
        self._begin(config)

    def step(self) -> dict[str, Any]:
        return as_result(self._pack.advance(self._table.step_seconds) if self._pack else Report(fatal=self._fatal))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        if self._pack is not None:
            self._pack.close()

    def _begin(self, config: dict[str, Any]) -> None:
        context = self._table.context
        cpus, gpus, limit = config["cpu"], config["gpu"], float(config["limit"])
        self._pack: Pack | None = None
        self._fatal = ""
        try:
            jobs = [Job.from_json(self._table.jobs[int(number)]) for number in config["tasks"].split(",")]
            store, death = open_store(context.store), config.get("death", "")
            self._pack = Pack(jobs, context, store, cpus=cpus, gpus=gpus, limit=limit, death=death)
        except StoreError as error:  # said in the first report: raised here, Tune would take it for a dead process
            self._fatal = str(error)
        except Exception as error:  # noqa: BLE001 - a machine that cannot begin any trial; none is to blame
            self._fatal = f"a worker process cannot begin: {type(error).__name__}: {error}"
