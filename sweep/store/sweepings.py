"""What nobody needs any more: results of attempts that did not win, temporary files, lists and leases left over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Set

from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.store import Store

FOLDERS = ("metrics", "artifacts", "files")


def sweep(store: Store, winners: Set[str], grace: float, now: float, *, attempts: bool = True) -> list[str]:
    """Remove what nobody needs and return its paths.

    Metrics, artifacts and files of an attempt go where the attempt published no trial, holds no live lease, and
    wrote nothing for ``grace`` seconds: publishing writes them moments before the trial, so a worker would have to
    lose its lease and sleep that long just there. Age is that of the files, since an attempt may train for weeks.
    Temporary files and lists without their file go at the same age; dead leases once their trial is published.

    Args:
        winners: part names of the attempts that published.
        now: seconds since the epoch, by the clock of the store's file system.
        attempts: False where not all trials could be read, so that ``winners`` may lack some: then none is swept.
    """
    removed: list[str] = []
    if attempts:
        published = store.index().published
        known = {trial: set(revisions) for trial, revisions in published.items()}
        working = {one.attempt for one in leasing.leases(store.storage) if leasing.alive(one, now)}
        parts = dict(_losing_parts(store, winners, working, now - grace))
        published = store.index().published  # a moment ago is not now
        for part, paths in parts.items():
            trial, attempt = part.split("-")
            if published.get(trial, set()) == known.get(trial, set()):
                store.discard_attempt(trial, attempt)
                removed += paths
    removed += _old_files(store, now - grace)
    removed += _old_leases(store, now)
    return removed


def _losing_parts(store: Store, winners: Set[str], working: Set[str], before: float) -> Iterator[tuple[str, list[str]]]:
    paths: dict[str, list[str]] = defaultdict(list)
    for folder in FOLDERS:
        for listed in store.storage.names(folder):
            part = listed.removesuffix(names.SUFFIX)
            pieces = part.split("-")
            if len(pieces) == 2 and not names.is_compacted(part) and part not in winners and pieces[1] not in working:
                paths[part].append(f"{folder}/{listed}")
    for part, found in paths.items():
        inside = [name for path in found if path.startswith("files/") for name in store.storage.below(path)]
        times = [store.storage.modified(path) for path in [*found, *inside]]
        if all(time is not None and time < before for time in times):
            yield part, found


def _old_files(store: Store, before: float) -> Iterator[str]:
    """Remove temporary files of writers that died, and lists of compactions that died before they made the file."""
    for name in store.storage.names("_tmp"):
        yield from _remove_old(store, f"_tmp/{name}", before)
    for table in names.TABLES:
        for listed in store.storage.names(f"compacted/{table}"):
            stem = listed.removesuffix(names.LIST_SUFFIX)
            if not store.storage.exists(f"{table}/{stem}{names.SUFFIX}"):
                yield from _remove_old(store, f"compacted/{table}/{listed}", before)


def _remove_old(store: Store, path: str, before: float) -> Iterator[str]:
    time = store.storage.modified(path)
    if time is not None and time < before:
        store.storage.remove(path)
        yield path


def _old_leases(store: Store, now: float) -> Iterator[str]:
    published = store.index().published
    for one in leasing.leases(store.storage):
        if one.revision in published.get(one.trial, set()) and not leasing.alive(one, now):
            leasing.release(store.storage, one)
            yield one.name
