"""What the orchestrator costs a trial that costs nothing, beside stock Ray Tune on the same function.

    .venv/bin/python benchmarks/overhead.py [--runs 3] [--stock 50]

Every figure comes from processes of their own, so that memory and Ray start fresh; Ray's start is not counted.
The trial is the toy of tests/fixtures/plugin: it builds, trains 10 samples, evaluates and leaves one artifact.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

PLUGIN = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "plugin"
SIZES = (400, 1000, 2000, 4000)
SLOTS, SHORT_TRIALS, SHORT_SECONDS = 8, 200, 0.2

GRID = """\
name: overhead
groups:
  - name: cells
    family: toy
    set: {{model: noop, dataset: toy, budget.samples: 10, sleep_seconds: {sleep}}}
    grid: {{seed: [{seeds}]}}
    resources: {{cpu: 1, gpu: 0}}
"""


def ours(count: int, cpus: int, sleep: float) -> dict[str, float]:
    """Plan, run and publish ``count`` trials; wall seconds without Ray's own start."""
    from sweep.cost import sample_rates
    from sweep.driver.cluster import connected
    from sweep.driver.run import Run
    from sweep.plan import make_plan
    from sweep.space import load_space
    from sweep.store.store import create
    from sweep.worker.job import Context

    with tempfile.TemporaryDirectory() as folder:
        grid = Path(folder) / "grid.yaml"
        grid.write_text(GRID.format(sleep=sleep, seeds=", ".join(map(str, range(count)))))
        with connected("local", cpus=cpus) as cluster:
            begun = time.monotonic()
            store = create(f"{folder}/store")
            plan = make_plan(load_space(grid), store, None)
            planned = time.monotonic() - begun
            context = Context(str(store.root), None, "overhead", "")
            outcome = Run(plan, plan.to_run(), store, cluster, context, sample_rates(plan, store)).execute()
            wall = time.monotonic() - begun
        if outcome.done != count:
            raise SystemExit(f"{outcome.done} of {count} trials were done: no measurement")
        return {"wall": wall, "plan": planned, "rss": _rss(), "first_to_last": _first_to_last(store)}


def _first_to_last(store: Any) -> float:
    """Seconds from the first start to the last end that the store records: without the first process's start."""
    from reports.files import open_store

    events = open_store(store.root).table("attempts").to_pylist()
    starts = [row["at"] for row in events if row["event"] == "started"]
    ends = [row["at"] for row in events if row["event"] == "ended"]
    return float((max(ends) - min(starts)).total_seconds())


def stock(count: int, cpus: int) -> dict[str, float]:
    """The same trial as a function of stock Ray Tune, with its defaults."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    import ray
    from ray import tune

    def function(config: dict[str, Any]) -> None:
        from trainers import registry

        family = registry.family("toy")
        fields = {"family": "toy", "model": "noop", "dataset": "toy", "seed": config["seed"]}
        trainer = family.build(family.spec.model_validate({**fields, "budget": {"samples": 10}}), None, "cpu", {})
        trainer.train(10)
        tune.report({metric.name: metric.value for metric in trainer.evaluate()})

    ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        tuner = tune.Tuner(
            tune.with_resources(function, {"cpu": 1}),
            param_space={"seed": tune.grid_search(list(range(count)))},
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
        wall = time.monotonic() - begun
        if results.num_errors:
            raise SystemExit(f"stock Tune: {results.num_errors} of {count} trials failed: no measurement")
    ray.shutdown()
    return {"wall": wall, "rss": _rss()}


def _rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB to MB, Linux


def child(kind: str, *arguments: float) -> dict[str, float]:
    """One measurement in a process of its own."""
    paths = [str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, __file__, "--child", kind, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-3000:])
        raise SystemExit(f"the measurement {kind} {arguments} failed")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _slopes(seconds: dict[int, float]) -> tuple[float, float]:
    return (seconds[4000] - seconds[2000]) / 2000, (seconds[1000] - seconds[400]) / 600


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def main(runs: int, stock_trials: int) -> None:
    """Measure, and print each figure with its bound."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"medians of {runs} runs; wall seconds without Ray's start")
    walls: dict[int, float] = {}
    inside: dict[int, float] = {}
    memory = 0.0
    for size in SIZES:
        measured = [child("ours", size, 2, 0) for _ in range(runs)]
        walls[size] = median(one["wall"] for one in measured)
        # Processes take as long to start at any size, give or take a second: no part of what one more trial costs.
        inside[size] = median(one["first_to_last"] for one in measured)
        memory = median(one["rss"] for one in measured)
        spread = ", ".join(f"{one['wall']:.1f}" for one in measured)
        each = 1000 * walls[size] / size
        print(f"noisegrid, {size:5} no-op trials, 2 CPUs: {walls[size]:6.1f} s ({spread}), {each:5.1f} ms a trial")
    tune = median(child("stock", stock_trials, 2)["wall"] for _ in range(max(1, runs // 2)))
    each_tune, each_ours = 1000 * tune / stock_trials, 1000 * walls[1000] / 1000
    print(f"stock Tune, {stock_trials} trials, 2 CPUs: {tune:.1f} s, {each_tune:.0f} ms a trial")
    met = each_ours <= each_tune / 40
    print(f"ratio a trial, stock / noisegrid at 1,000: {each_tune / each_ours:.0f} (at least 40: {verdict(met)})")
    print(f"ms a trial at 1,000: {each_ours:.1f} (at most 25: {verdict(each_ours <= 25)})")
    for name, seconds in (("whole walls", walls), ("first start to last end", inside)):
        late, early = _slopes(seconds)
        ratio = late / early
        said = f"{1000 * late:.2f} ms from 2,000 to 4,000, {1000 * early:.2f} ms from 400 to 1,000: {ratio:.2f} times"
        print(f"marginal cost, {name}: {said} (at most 1.2: {verdict(ratio <= 1.2)})")
    print(f"driver memory at 4,000: {memory:.0f} MB (under 400: {verdict(memory < 400)})")
    short = [child("ours", SHORT_TRIALS, SLOTS, SHORT_SECONDS) for _ in range(runs)]
    ideal = SHORT_TRIALS * SHORT_SECONDS / SLOTS
    wall = median(one["first_to_last"] for one in short)
    whole = median(one["wall"] for one in short)
    print(
        f"{SHORT_TRIALS} trials of {SHORT_SECONDS} s on {SLOTS} logical slots: {wall:.1f} s from first start to last "
        f"end, {wall / ideal:.1f} times the ideal (at most 3: {verdict(wall <= 3 * ideal)}); {whole:.1f} s in all"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement")
    parser.add_argument("--stock", type=int, default=50, help="trials given to stock Ray Tune")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        kind, *numbers = given.child
        measure: dict[str, Callable[[], dict[str, float]]] = {
            "ours": lambda: ours(int(numbers[0]), int(numbers[1]), float(numbers[2])),
            "stock": lambda: stock(int(numbers[0]), int(numbers[1])),
        }
        print(json.dumps(measure[kind]()))
    else:
        main(given.runs, given.stock)
