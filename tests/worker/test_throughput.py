"""Throughput columns of ``trials``: samples, tokens, and the share of a known device's peak."""

from __future__ import annotations

import pytest

from sweep.worker import machine
from trainers.protocol import Cost


def test_a_sample_of_so_many_tokens() -> None:
    found = machine.throughput(100, 4.0, Cost(tokens=64, flops=1e9), "cpu")
    assert found == {"samples_per_second": 25.0, "tokens_per_second": 1600.0, "flops_utilisation": None}


def test_what_is_not_told_is_null() -> None:
    assert machine.throughput(100, 4.0, None, "cpu") == {
        "samples_per_second": 25.0,
        "tokens_per_second": None,
        "flops_utilisation": None,
    }
    assert set(machine.throughput(100, 0.0, Cost(64, 1e9), "cpu").values()) == {None}


@pytest.mark.parametrize(
    ("name", "peak"), [("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA L40S", 362e12)]
)
def test_utilisation_is_of_the_devices_own_peak(name: str, peak: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "device_name", lambda on: name)
    found = machine.throughput(100, 4.0, Cost(64, 1e12), "cuda")
    assert found["flops_utilisation"] == pytest.approx(25e12 / peak)


def test_a_device_that_is_not_known_has_no_utilisation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "device_name", lambda on: "Another 1")
    assert machine.throughput(100, 4.0, Cost(64, 1e12), "cuda")["flops_utilisation"] is None
