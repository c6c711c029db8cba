"""The shape of a grid file, as pydantic models. What the fields of a family are is the family's own matter."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

RAY_PARTS = 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name has 1 to 64 letters, digits, '_', '-' or '.', and begins with a letter or digit")
    return value


Name = Annotated[str, AfterValidator(_name)]
Scalar = str | int | float | bool | None
#: ``when`` and ``exclude`` compare a field with one value, or with any of a list.
Condition = dict[str, Scalar | list[Scalar]]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Need(_Part):
    """Which trials of another group fill a role: those that agree on ``match`` and have the values of ``where``."""

    group: str
    match: list[str] = []
    where: dict[str, Scalar] = {}


def _ray_precision(value: float) -> float:
    if not math.isclose(value * RAY_PARTS, round(value * RAY_PARTS), abs_tol=1e-6):
        raise ValueError(f"Ray counts resources in steps of 1/{RAY_PARTS:,}; give fewer decimals")
    return value


def _whole_gpus(value: float) -> float:
    if value > 1 and value != int(value):
        raise ValueError("a trial has a part of one GPU (0.5, say) or whole ones (1, 2, ...)")
    return _ray_precision(value)


class Resources(_Part):
    """What one trial occupies, and how it goes about it; no part of its identity.

    ``gpu: auto`` is one GPU where the cluster has any, else none. ``micro_batch`` is the number of samples in one
    forward and backward pass, gradients being summed over a batch; ``compile`` turns on ``torch.compile``.
    """

    cpu: Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_ray_precision)] = 1
    gpu: Literal["auto"] | Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_whole_gpus)] = "auto"
    micro_batch: Annotated[int, Field(gt=0)] | None = None
    compile: bool = False

    @property
    def options(self) -> dict[str, int | bool]:
        """What is given of the options that a family's ``build`` takes."""
        found: dict[str, int | bool] = {}
        if self.micro_batch is not None:
            found["micro_batch"] = self.micro_batch
        if self.compile:
            found["compile"] = True
        return found


class Group(_Part):
    """Cells that share a family: fixed fields, axes that multiply, lists that move together."""

    name: Name
    family: str
    about: str = ""
    set: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    zip: list[dict[str, list[Any]]] | dict[str, list[Any]] = []
    when: list[Condition] = []
    exclude: list[Condition] = []
    needs: dict[str, Need] = {}
    resources: Resources = Resources()


class SpaceFile(_Part):
    """A whole grid file."""

    name: Name
    about: str = ""
    groups: Annotated[list[Group], Field(min_length=1)]
