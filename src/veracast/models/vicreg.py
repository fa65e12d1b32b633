"""The loss of VICReg: variance, invariance and covariance of two views (Bardes, Ponce, LeCun: VICReg, ICLR 2022)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0  # lambda, mu, nu of section 4.2
GAMMA, EPSILON = 1.0, 1e-4


def vicreg_loss(one: Float[Tensor, "n dim"], other: Float[Tensor, "n dim"]) -> Float[Tensor, ""]:
    """25 s(Z, Z') + 25 [v(Z) + v(Z')] + [c(Z) + c(Z')] of the embeddings of two views, a number of 0 or more.

    s is eq. 5, v eqs. 1-2 (the hinge on the deviation of each dimension), c eqs. 3-4. As in the authors' code
    (facebookresearch/vicreg, main_vicreg.py) s is also averaged over dimensions and v halved, which the paper's equations
    leave out. n must be 2 or more: ValueError otherwise.
    """
    if len(one) < 2:
        raise ValueError(f"variance over a batch needs 2 frames or more, got {len(one)}")
    spread = (_variance(one) + _variance(other)) / 2
    return (
        INVARIANCE * F.mse_loss(one, other) + VARIANCE * spread + COVARIANCE * (_covariance(one) + _covariance(other))
    )


def _variance(z: Tensor) -> Tensor:
    return F.relu(GAMMA - torch.sqrt(z.var(dim=0) + EPSILON)).mean()


def _covariance(z: Tensor) -> Tensor:
    """Sum of squared covariances between different dimensions, over their number."""
    centred = z - z.mean(dim=0)
    matrix = centred.T @ centred / (len(z) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / z.shape[1]
