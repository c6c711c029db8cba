"""Text from `datasets`: a name on the hub, streamed, or a folder that the library reads or has written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainers.datasets.text.sources import Read, missing_column, text_of
from trainers.errors import SourceError, UnreachableError

PREFIX = "hf:"
#: Libraries whose errors are the network's; those of the hub's client are no OSError.
_NETWORK = frozenset({"aiohttp", "httpcore", "httpcore2", "httpx", "httpx2", "requests", "urllib3"})
_SAVED = ("dataset_info.json", "dataset_dict.json")  # what `save_to_disk` leaves


class Hub:
    """``hf:NAME`` or ``hf:NAME:CONFIG``; the split ``train``, else the only one."""

    def __init__(self, source: str, field: str) -> None:
        """Raises:
        SourceError: there is no name.
        """
        self.name, _, self.config = source.removeprefix(PREFIX).partition(":")
        if not self.name:
            raise SourceError(f"--source {source!r}: write hf:NAME or hf:NAME:CONFIG")
        self.field = field
        local = Path(self.name).expanduser()
        self.local = local.absolute() if local.is_dir() else None
        self._rows: Any = None

    @property
    def said(self) -> Mapping[str, Any]:
        name = str(self.local or self.name)
        return {"text": f"{PREFIX}{name}:{self.config}" if self.config else f"{PREFIX}{name}", "field": self.field}

    @property
    def bytes(self) -> int | None:
        return None

    def documents(self, position: Any = None) -> Iterator[Read]:
        """Documents from ``position``, which skips whole files of the data set without reading them."""
        with self._faults():
            rows = self._open()
            if position is not None:
                rows.load_state_dict(position)
            self._rows = rows
            for number, row in enumerate(rows, 1):
                since = "" if position is None else " since the preparation went on"
                yield Read(text_of(row, self.field, f"{PREFIX}{self.name}, row {number}{since}"))

    def position(self) -> Any:
        return None if self._rows is None else self._rows.state_dict()

    def _open(self) -> Any:
        import datasets

        datasets.disable_progress_bars()
        if self.local is not None and any((self.local / name).is_file() for name in _SAVED):
            found = datasets.load_from_disk(str(self.local))
        else:
            found = datasets.load_dataset(str(self.local or self.name), self.config or None, streaming=True)
        rows: Any = self._split(found) if isinstance(found, dict) else found
        if isinstance(rows, datasets.Dataset):
            rows = rows.to_iterable_dataset()
        columns = rows.column_names
        if columns is not None:
            if self.field not in columns:
                raise SourceError(f"{PREFIX}{self.name}: {missing_column(self.field, columns)}")
            rows = rows.select_columns([self.field])
        return rows

    def _split(self, splits: Mapping[str, Any]) -> Any:
        if "train" in splits or len(splits) == 1:
            return splits["train"] if "train" in splits else next(iter(splits.values()))
        raise SourceError(
            f"{PREFIX}{self.name}: there is no split 'train' among {', '.join(splits)}; save the one you want with "
            "save_to_disk and give that folder"
        )

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (SourceError, UnreachableError):
            raise
        except Exception as error:  # the library passes on whatever the network, the hub and the files make of it
            said = f"{PREFIX}{self.name}: {' '.join(str(error).split()) or type(error).__name__}"
            if _of_network(error):
                raise UnreachableError(f"{said}. Try again with a network; what was prepared is kept") from error
            raise SourceError(said) from error


def _of_network(error: Exception) -> bool:
    if isinstance(error, FileNotFoundError):  # no such data set
        return False
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or bool(modules & _NETWORK)
