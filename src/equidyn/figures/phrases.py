"""Sentences that captions of several figures share."""

SHARE = (
    "The share is of the held-out squared error; equivariance error is the variance of the prediction over rotations "
    "of the input, rotated back. One colour per series; further seeds are thin lines of the same colour. The skill is "
    "cut off where an untrained network is far below zero; the dotted line is the limit below. "
)
STEP_ZERO = "Step 0 is the untrained network."
TIME = "Flow time t runs from 0, pure noise, to 1, data."
FLOW = (
    f"{TIME} What is compared is the clean structure that the network predicts. Steps count updates of the optimiser "
    "(published figures of this kind count rows of a log). "
)
