"""Ids of the first family, pinned with the text they are hashes of: a change here orphans every stored trial.

A new field of a specification is declared with ``trainers.spec.later`` and changes nothing below.
"""

from __future__ import annotations

import hashlib

import pytest
from space.bad_files import one
from space.conftest import Load

PINNED = [
    (
        "",
        "57247dd817a67dbd",
        '{"augment":"none","batch":{"multiplier":1,"size":64},"budget":{"rule":"scaled","samples":10000},'
        '"dataset":"digits@1","evaluation":{"every_samples":null},"family":"classifier","model":"small_cnn","needs":{},'
        '"noise":{"law":"uniform_wrong","map":null,"ratio":"0","refresh":"fresh"},'
        '"optimiser":{"learning_rate":0.05,"momentum":0.9,"name":"sgd","nesterov":false,"second_moment":0.999,'
        '"weight_decay":0.0005},"reading":"corrected","schedule":{"name":"cosine","warmup_samples":0},"seed":0}',
    ),
    (
        "noise: {ratio: 1/3, law: confusion, map: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0], refresh: frozen}, "
        "batch: {size: 32, multiplier: 4}, optimiser: {name: adamw, learning_rate: 1e-3}, "
        "schedule.warmup_samples: 640, augment: shift, evaluation.every_samples: 1280, budget.rule: fixed, "
        "reading: paper, seed: 4294967295",
        "617c86beece569dc",
        '{"augment":"shift","batch":{"multiplier":4,"size":32},"budget":{"rule":"fixed","samples":10000},'
        '"dataset":"digits@1","evaluation":{"every_samples":1280},"family":"classifier","model":"small_cnn","needs":{},'
        '"noise":{"law":"confusion","map":[1,2,3,4,5,6,7,8,9,0],"ratio":"1/3","refresh":"frozen"},'
        '"optimiser":{"learning_rate":0.001,"momentum":0.9,"name":"adamw","nesterov":false,"second_moment":0.999,'
        '"weight_decay":0.0005},"reading":"paper","schedule":{"name":"cosine","warmup_samples":640},'
        '"seed":4294967295}',
    ),
]


@pytest.mark.parametrize(("fields", "name", "text"), PINNED, ids=["defaults", "everything"])
def test_ids_of_classifiers_are_pinned(load: Load, fields: str, name: str, text: str) -> None:
    whole = f"{{model: small_cnn, dataset: digits, budget.samples: 10000, {fields}}}"
    (trial,) = load(one(family="classifier", whole=whole)).trials
    assert trial.canonical == text
    assert trial.id == name == hashlib.sha256(text.encode()).hexdigest()[:16]
