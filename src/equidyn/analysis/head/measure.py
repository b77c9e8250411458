"""The last linear layer: the distance of its weights from equivariance, and the error as a quadratic form in it.

Predictions are linear in the weights w of the last layer. With everything before it held fixed, h_g = A_g w + c for
some matrices A_g of the features and a c that does not depend on g (terms that the task adds by itself rotate with the
input), so the equivariance error is exactly

    E_g |h_g − f̄|² = wᵀ Q w,      Q = E_g (A_g − Ā)ᵀ (A_g − Ā).

Let w = w∥ + w⊥, with w∥ the orthogonal projection on the weights with which the layer itself is equivariant
(`equidyn.analysis.anatomy.Anatomy.symmetric_head`). Then wᵀQw = w⊥ᵀQw⊥ + 2 w⊥ᵀQw∥ + w∥ᵀQw∥. Only where features rotate
exactly as they should do the last two terms vanish, and the error is quadratic in the deviation w⊥.

They vanish in EScAIP, whose features are invariant: w∥ has equal rows. There the paper's head weight variance, the
variance over the three rows averaged over the H columns, is |w⊥|² / 3H, so deviation and variance are the same up to a
constant; and Q acts on each row of w⊥ alike, by a third of the second moment of the features that are summed into
forces. The twirled loss has the same matrix for the mean row. So in this layer both losses have the same eigenvalues
apart from zero, those of the equivariance error twice, and neither is better conditioned than the other.

In Proteína, no features are known to rotate in any way, and only w∥ = 0 is equivariant for all features; in VoxMol, w∥
is the kernel that is invariant under the rotations of a cube, and Q acts on each output channel alike. Under other
rotations grids are interpolated, which makes even the contribution of the last layer's bias depend on g.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equidyn.analysis.anatomy import block_parameters, needed_anatomy
from equidyn.analysis.curvature import Hessian
from equidyn.analysis.losses import HeldOutLoss
from equidyn.core import process
from equidyn.run.evaluation import decompose_task, decompose_task_exactly
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task


def measure(
    task: Task, model: nn.Module, indices: np.ndarray, protocol: EvaluationSettings, condition: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The last layer of a checkpoint: one row, `HeadForm.summary` and the error that it should predict.

    The latter is ``measured``: the equivariance error by `equidyn.core.decomposition`, in single precision, of the same
    examples with the same rotations.

    Args:
        task: The task, which makes batches and compares predictions.
        model: A network with an anatomy, in double precision.
        indices: (n,) examples.
        protocol: See `equidyn.analysis.losses.HeldOutLoss`.
        condition: See `Task.symmetry` and `Task.inputs`.

    Raises:
        ValueError: The same as for `head_form`.
    """
    process.allow_tf32(False)  # rounding would pass for equivariance error
    loss = HeldOutLoss(task, model, indices, protocol, condition)
    found = head_form(loss).summary()
    decompose = decompose_task_exactly if loss.exact else decompose_task
    measured = decompose(task, copy.deepcopy(model).float(), indices, protocol, condition)
    assert measured is not None
    return [{**loss.estimator, **found, "measured": measured.equivariance.sum() / measured.weight.sum()}]


@dataclass(frozen=True)
class HeadForm:
    """The equivariance error as a quadratic form in the last layer's weights.

    Attributes:
        weight: (P,) w, flattened.
        symmetric: (P,) w∥.
        form: (P, P) Q; squared unit of the target per component.
        complement: (P, P) the projection on what is orthogonal to the equivariant subspace.
    """

    weight: Tensor
    symmetric: Tensor
    form: Tensor
    complement: Tensor

    @property
    def deviation(self) -> Tensor:
        """(P,) w⊥."""
        return self.weight - self.symmetric

    def error(self, weight: Tensor | None = None) -> float:
        """wᵀQw, of these weights or of others (P,)."""
        weight = self.weight if weight is None else weight
        return float(weight @ self.form @ weight)

    def summary(self) -> dict[str, float]:
        """Squared lengths, the predicted error and its three parts, and eigenvalues of Q on the complement.

        Returns:
            ``head_parameters``; ``deviation`` |w⊥|² and ``symmetric`` |w∥|²; ``relative_deviation``, the former's share
            of |w|²; ``weight_variance`` |w⊥|² / P; ``predicted`` = ``from_deviation`` + ``cross`` +
            ``from_symmetric``; ``largest`` eigenvalue of Q on the complement, and ``mean``, their average there.
        """
        deviation, symmetric = float(self.deviation @ self.deviation), float(self.symmetric @ self.symmetric)
        eigenvalues = torch.linalg.eigvalsh(self.complement @ self.form @ self.complement)
        return {
            "head_parameters": len(self.weight),
            "deviation": deviation,
            "symmetric": symmetric,
            "relative_deviation": deviation / (deviation + symmetric) if deviation else 0.0,
            "weight_variance": deviation / len(self.weight),
            "predicted": self.error(),
            "from_deviation": self.error(self.deviation),
            "cross": 2 * float(self.deviation @ self.form @ self.symmetric),
            "from_symmetric": self.error(self.symmetric),
            "largest": float(eigenvalues[-1]),
            "mean": float(eigenvalues.sum() / self.complement.trace()),
        }


def head_form(loss: HeldOutLoss) -> HeadForm:
    """The quadratic form on held-out examples: half the Hessian of the equivariance error in the last layer's weights.

    Args:
        loss: Held-out loss of a model with an anatomy; in double precision.

    Raises:
        ValueError: The layer is too large, see `equidyn.analysis.curvature.Hessian.dense`; or predictions are grids,
            and the group does not permute their voxels.
    """
    anatomy = needed_anatomy(loss.model, loss.symmetry)
    block = block_parameters(loss.model, anatomy.head)
    weight = block[anatomy.head].detach()
    form = Hessian(loss, "equivariance", block).dense() / 2
    identity = torch.eye(weight.numel(), dtype=weight.dtype, device=weight.device)
    projection = torch.stack([anatomy.symmetric_head(row.view_as(weight)).flatten() for row in identity])
    return HeadForm(weight.flatten().clone(), anatomy.symmetric_head(weight).flatten(), form, identity - projection)
