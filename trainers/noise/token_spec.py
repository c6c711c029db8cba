"""Noise on a stream of tokens: what :class:`trainers.spec.NoiseSpec` has, and where in a sequence it strikes."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from trainers.spec import NoiseSpec


class TokenNoiseSpec(NoiseSpec):
    """``unit`` tells what a draw decides on: each token (the paper's training) or a whole sequence of targets (the
    paper's gradient analysis, protocols 7). ``corrupt`` tells where the errors stand: in the ``targets`` alone, so that
    contexts stay clean (the paper's), or in the ``stream``, so that inputs and targets share them (protocols S8).
    """

    law: str = "uniform_all"
    unit: Literal["token", "example"] = "token"
    corrupt: Literal["targets", "stream"] = "targets"

    @model_validator(mode="after")
    def _stream_is_by_token(self) -> TokenNoiseSpec:
        if self.corrupt == "stream" and self.unit == "example":
            raise ValueError(
                "noise.corrupt is stream and noise.unit is example; errors that inputs and targets share are drawn "
                "token by token: set noise.unit to token, or noise.corrupt to targets"
            )
        return self
