"""What every run shares, without a run."""

from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch

from mien.training.dataset import Batch
from mien.training.fit import SeedEpochs

from .conftest import TinyModule, Train


def drawn(seed: int, epoch: int, rank: int = 0) -> list[float]:
    trainer: Any = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    torch.rand(7)  # whatever was drawn before
    SeedEpochs(seed).on_train_epoch_start(trainer, L.LightningModule())
    return torch.rand(4).tolist()


def test_each_epoch_draws_by_its_number_whatever_was_drawn_before() -> None:
    assert drawn(1, epoch=5) == drawn(1, epoch=5)
    assert len({tuple(drawn(1, epoch)) for epoch in range(5)}) == 5


def test_each_process_and_each_seed_draws_its_own() -> None:
    assert drawn(1, epoch=0, rank=1) != drawn(1, epoch=0)
    assert drawn(2, epoch=0) != drawn(1, epoch=0)


@pytest.mark.slow
def test_each_epoch_of_a_run_sees_the_faces_in_another_order_and_otherwise_augmented(
    start: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, list[float]] = {0: [], 1: []}
    noise: dict[int, float] = {}

    def judge(module: TinyModule, images: torch.Tensor, batch: Batch) -> Any:
        if module.training:
            seen[module.current_epoch] += batch.age_low.tolist()
            noise.setdefault(module.current_epoch, float(torch.rand(())))
        return super(TinyModule, module).judge(images, batch)

    monkeypatch.setattr(TinyModule, "judge", judge)
    start(epochs=2)
    assert len(seen[0]) == len(seen[1]) > 0 and seen[0] != seen[1]
    assert noise[0] != noise[1]
