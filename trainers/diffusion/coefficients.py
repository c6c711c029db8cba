"""What stands around a raw network: D(x; sigma) = skip x + out F(input x; noise) (EDM, eq. 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Coefficients:
    """c_skip, c_out, c_in and c_noise (EDM, eq. 7), each of the shape of the noise levels."""

    skip: torch.Tensor
    out: torch.Tensor
    input: torch.Tensor
    noise: torch.Tensor
