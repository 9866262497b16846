import pytest
import torch

from mien.pipeline.detect.mien import default_detector_path
from mien.training.detection.losses import assign, detection_losses
from mien.training.detection.net import (
    OUTPUTS,
    STRIDES,
    DetectorNet,
    decode,
    divide_smoothing,
    flatten,
    positions,
)
from mien.training.warm_start import load_net

SIDE = 256


@pytest.fixture(scope="module")
def grid() -> tuple[torch.Tensor, torch.Tensor]:
    return positions([torch.zeros(1, 1, SIDE // stride, SIDE // stride) for stride in STRIDES])


def faces(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor([boxes])


@pytest.mark.parametrize(("size", "stride"), [(12, 8), (24, 8), (60, 16), (120, 32), (240, 64)])
def test_a_face_is_answered_for_by_the_level_of_its_size(
    grid: tuple[torch.Tensor, torch.Tensor], size: float, stride: float
) -> None:
    box = faces((128 - size / 2, 128 - size / 2, 128 + size / 2, 128 + size / 2))
    face, positive, counts = (part[0] for part in assign(box, torch.ones(1, 1), *grid))
    middles, strides = grid
    assert positive.any()
    assert set(strides[positive].tolist()) == {stride}
    assert ((middles[positive] - 128).abs() <= max(0.2 * size, 0.6 * stride)).all()
    assert (face[positive] == 0).all() and counts[positive].all()


def test_levels_beside_learn_where_a_face_is_but_not_to_score_it(
    grid: tuple[torch.Tensor, torch.Tensor],
) -> None:
    face, positive, counts = (part[0] for part in assign(faces((78, 78, 178, 178)), torch.ones(1, 1), *grid))
    beside = (face == 0) & ~positive
    assert set(grid[1][positive].tolist()) == {32} and set(grid[1][beside].tolist()) == {16, 64}
    assert not counts[beside].any()


def test_a_positive_position_keeps_its_face_beside_a_smaller_one_of_another_level(
    grid: tuple[torch.Tensor, torch.Tensor],
) -> None:
    boxes = faces((78, 78, 178, 178), (108, 108, 148, 148))
    face, positive, _ = (part[0] for part in assign(boxes, torch.ones(1, 2), *grid))
    assert (face[positive & (grid[1] == 32)] == 0).all()


def test_the_smaller_of_two_faces_is_answered_for(grid: tuple[torch.Tensor, torch.Tensor]) -> None:
    boxes = faces((100, 100, 138, 138), (108, 108, 132, 132))
    face, _, _ = assign(boxes, torch.ones(1, 2), *grid)
    at_middle = ((grid[0] - 120).abs() < 5).all(1) & (grid[1] == 8)
    assert (face[0][at_middle] == 1).all()


def test_a_region_of_unknown_content_does_not_count(grid: tuple[torch.Tensor, torch.Tensor]) -> None:
    face, _, counts = assign(faces((0, 0, 64, 64)), torch.zeros(1, 1), *grid)
    inside = (grid[0] < 64).all(1)
    assert (face == -1).all()
    assert not counts[0][inside].any() and counts[0][~inside].all()


def test_what_is_no_face_counts_everywhere(grid: tuple[torch.Tensor, torch.Tensor]) -> None:
    face, _, counts = assign(torch.zeros(1, 3, 4), torch.full((1, 3), -1), *grid)
    assert (face == -1).all() and counts.all()


def test_a_perfect_answer_costs_next_to_nothing(grid: tuple[torch.Tensor, torch.Tensor]) -> None:
    box = faces((100, 96, 150, 160))
    points = torch.rand(1, 1, 10) * 50 + 100
    assigned = assign(box, torch.ones(1, 1), *grid)
    k = len(grid[0])
    scores = torch.where(assigned.positive, 20.0, -20.0)
    losses = detection_losses(scores, box.expand(1, k, 4), points.expand(1, k, 10), (box, points), assigned)
    assert all(float(value) < 1e-4 for value in losses.values())


@pytest.mark.parametrize("part", ["score_loss", "box_loss", "point_loss"])
def test_a_wrong_answer_costs(grid: tuple[torch.Tensor, torch.Tensor], part: str) -> None:
    box, points = faces((100, 96, 150, 160)), torch.full((1, 1, 10), 120.0)
    assigned = assign(box, torch.ones(1, 1), *grid)
    k = len(grid[0])
    losses = detection_losses(
        torch.zeros(1, k), box.expand(1, k, 4) + 9, points.expand(1, k, 10) + 9, (box, points), assigned
    )
    assert float(losses[part]) > 0.02


def test_unknown_points_cost_nothing(grid: tuple[torch.Tensor, torch.Tensor]) -> None:
    box, points = faces((100, 96, 150, 160)), torch.full((1, 1, 10), torch.nan)
    assigned = assign(box, torch.ones(1, 1), *grid)
    k = len(grid[0])
    losses = detection_losses(
        torch.zeros(1, k), box.expand(1, k, 4), torch.zeros(1, k, 10), (box, points), assigned
    )
    assert float(losses["point_loss"]) == 0 and torch.isfinite(losses["loss"])


def test_a_scene_without_faces_has_a_finite_loss(grid: tuple[torch.Tensor, torch.Tensor]) -> None:
    nothing = torch.zeros(1, 3, 4), torch.zeros(1, 3, 10)
    assigned = assign(nothing[0], torch.full((1, 3), -1), *grid)
    k = len(grid[0])
    losses = detection_losses(
        torch.zeros(1, k), torch.zeros(1, k, 4), torch.zeros(1, k, 10), nothing, assigned
    )
    assert torch.isfinite(losses["loss"]) and losses["box_loss"] == 0


@pytest.mark.parametrize("shape", [(64, 64), (96, 160), (32, 32)])
def test_the_net_answers_for_every_position_of_any_size(shape: tuple[int, int]) -> None:
    maps = DetectorNet().eval()(torch.zeros(2, 3, *shape))
    middles, strides = positions(maps)
    assert flatten(maps).shape == (2, len(middles), OUTPUTS)
    assert [(m.shape[2], m.shape[3]) for m in maps] == [
        (-(-shape[0] // stride), -(-shape[1] // stride)) for stride in STRIDES
    ]
    assert len(strides) == len(middles)


def test_decoding_puts_zeros_at_the_positions_middle() -> None:
    boxes, points = decode(torch.zeros(1, 1, OUTPUTS), torch.tensor([[20.0, 36.0]]), torch.tensor([8.0]))
    assert boxes.tolist() == [[[4, 20, 36, 52]]]
    assert points.tolist() == [[[20, 36] * 5]]


def test_levels_have_norms_of_their_own() -> None:
    net = DetectorNet().train()
    net(torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)))
    means = [part.get_buffer("1.running_mean") for part in net.smooth]
    assert all(not torch.equal(a, b) for i, a in enumerate(means) for b in means[:i])


def test_a_file_whose_levels_share_a_layer_can_be_started_from() -> None:
    load_net(net := DetectorNet(), default_detector_path(), ["detector.net"], divide_smoothing)
    first, *others = (part.state_dict() for part in net.smooth)
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)
