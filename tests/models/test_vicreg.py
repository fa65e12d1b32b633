"""VICReg against the authors' formula, by hand, and collapse, which it must notice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from veracast.models.vicreg import vicreg_loss


def published(x: Tensor, y: Tensor) -> Tensor:
    """VICReg.forward of facebookresearch/vicreg, main_vicreg.py, after the projector, with its default coefficients."""
    batch_size, num_features = x.shape
    repr_loss = F.mse_loss(x, y)
    x = x - x.mean(dim=0)
    y = y - y.mean(dim=0)
    std_x = torch.sqrt(x.var(dim=0) + 0.0001)
    std_y = torch.sqrt(y.var(dim=0) + 0.0001)
    std_loss = torch.mean(F.relu(1 - std_x)) / 2 + torch.mean(F.relu(1 - std_y)) / 2
    cov_x = (x.T @ x) / (batch_size - 1)
    cov_y = (y.T @ y) / (batch_size - 1)
    cov_loss = off_diagonal(cov_x).pow_(2).sum().div(num_features) + off_diagonal(cov_y).pow_(2).sum().div(num_features)
    return 25.0 * repr_loss + 25.0 * std_loss + 1.0 * cov_loss


def off_diagonal(x: Tensor) -> Tensor:
    n, _ = x.shape
    return x.flatten()[:-1].view(n - 1, n + 1)[:, 1:].flatten()


@pytest.mark.parametrize(("n", "dim", "scale"), [(16, 8, 1.0), (2, 5, 0.3), (64, 3, 4.0)])
def test_it_is_the_authors_formula(n: int, dim: int, scale: float) -> None:
    draw = torch.Generator().manual_seed(n)
    one, other = scale * torch.randn(2, n, dim, generator=draw)
    torch.testing.assert_close(vicreg_loss(one, other), published(one, other))


def test_by_hand() -> None:
    """Two frames, two dimensions: (0, 0) and (2, 2); the second view is 1 higher in the first dimension."""
    one = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    other = one + torch.tensor([1.0, 0.0])
    # s = 1/2; deviations are sqrt 2 > 1, so v = 0; covariance 2 off the diagonal, twice, squared, over 2 dimensions: 4 a view
    assert float(vicreg_loss(one, other)) == pytest.approx(25 * 0.5 + 0 + 4 + 4)


def test_collapse_to_a_point_and_to_a_line_cost_what_the_hinge_and_the_covariance_say() -> None:
    point = torch.ones(8, 4)
    assert float(vicreg_loss(point, point)) == pytest.approx(25 * (1 - 0.01), rel=1e-5)
    line = torch.linspace(-3, 3, 8)[:, None].expand(8, 4)
    spread = float(np.var(np.linspace(-3, 3, 8), ddof=1))
    assert float(vicreg_loss(line, line)) == pytest.approx(2 * 12 * spread**2 / 4, rel=1e-5)


def test_one_frame_has_no_variance() -> None:
    with pytest.raises(ValueError, match="needs 2 frames or more, got 1"):
        vicreg_loss(torch.ones(1, 4), torch.ones(1, 4))
