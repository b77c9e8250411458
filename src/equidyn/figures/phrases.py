"""Sentences that captions of several figures share."""

SHARE = (
    "Share of the held-out squared error that comes from equivariance error (the variance of the prediction over "
    "rotations of the input, rotated back), against the training step; below it, the skill of the same networks, "
    "with a dotted line at the limit below, and cut off where an untrained network is far below zero. "
)
STEP_ZERO = "Step 0 is the untrained network."
FLOW = (
    "Flow time t runs from 0, pure noise, to 1, data; what is compared is the clean structure that the network "
    "predicts. Steps count updates of the optimiser (published figures of this kind count rows of a log). "
)
