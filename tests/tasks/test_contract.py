"""What the contract insists on."""

import pytest

from equidyn.tasks.contract import Task, TrainableTask
from equidyn.tasks.force_field.task import ForceField


@pytest.mark.parametrize("forgotten", sorted(Task.__abstractmethods__))
def test_a_task_that_forgets_a_method_cannot_be_made(forgotten):
    methods = {name: lambda *_: None for name in Task.__abstractmethods__}
    assert isinstance(type("Whole", (Task,), methods)(), Task)
    del methods[forgotten]
    with pytest.raises(TypeError, match=forgotten):
        type("Partial", (Task,), methods)()


def test_training_asks_for_more():
    asked = {"fit", "state", "restore", "check", "loss", "describe_batch"}
    assert TrainableTask.__abstractmethods__ - Task.__abstractmethods__ == asked
    with pytest.raises(TypeError, match="loss"):
        type("Untrained", (ForceField,), {"loss": TrainableTask.loss})(None, None)
