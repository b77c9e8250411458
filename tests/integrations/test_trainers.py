"""Callbacks of trainers measure what `measure` does, and leave the training alone."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from equidyn import measure

pytestmark = pytest.mark.filterwarnings("ignore:.*was taken for rank")

rng = np.random.default_rng(3)
INPUTS = torch.from_numpy(rng.normal(size=(32, 5, 3)).astype(np.float32))
TARGETS = INPUTS.square()
STEPS = [0, 1, 2, 3, 5, 7, 10]


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.1), torch.nn.SiLU(), torch.nn.Linear(8, 3))


def weights(model):
    return torch.cat([one.detach().flatten() for one in model.parameters()])


@pytest.mark.filterwarnings("ignore")  # Lightning warns of whatever could be set otherwise
class TestLightning:
    @staticmethod
    def trained(callbacks, steps=10, checkpoint=None):
        lightning = pytest.importorskip("lightning", reason="Lightning is not installed")

        class Module(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.model = network()

            def forward(self, points):
                return self.model(points)

            def training_step(self, batch, _):
                points, true = batch
                return (self(points) - true).square().mean()

            def configure_optimizers(self):
                return torch.optim.Adam(self.parameters(), 1e-2)

        module = Module()
        loader = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=8, shuffle=True)
        trainer = lightning.Trainer(
            max_steps=steps, callbacks=callbacks, logger=False, enable_checkpointing=False, accelerator="cpu",
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=False)
        return module, trainer

    def test_measures_and_leaves_the_training_alone(self, tmp_path):
        pytest.importorskip("lightning", reason="Lightning is not installed")
        from equidyn.integrations.lightning import EquivarianceCallback

        callback = EquivarianceCallback(INPUTS, TARGETS, rotations=24)
        module, trainer = self.trained([callback])
        assert callback.monitor.table()["step"].tolist() == STEPS
        expected = measure(module, INPUTS, TARGETS).percent
        assert callback.monitor.history[-1]["percent"] == pytest.approx(expected, rel=1e-5)
        without, _ = self.trained([])
        assert torch.equal(weights(module), weights(without))

        trainer.save_checkpoint(tmp_path / "last.ckpt")
        again = EquivarianceCallback(INPUTS, TARGETS, rotations=24)
        self.trained([again], steps=15, checkpoint=tmp_path / "last.ckpt")
        assert again.monitor.table()["step"].tolist() == [*STEPS, 15]
        assert again.monitor.history[:7] == callback.monitor.history

    def test_averaged_weights_and_loggers(self):
        pytest.importorskip("lightning", reason="Lightning is not installed")
        from lightning.pytorch.loggers import CSVLogger

        from equidyn.integrations.lightning import EquivarianceCallback

        logged = {}

        class Logger(CSVLogger):
            def log_metrics(self, metrics, step=None):
                logged[step] = metrics

        callback = EquivarianceCallback(
            INPUTS, TARGETS, averaged=lambda module: network(), predict=lambda module, points: module(points)
        )
        lightning = pytest.importorskip("lightning")
        module = type("Module", (lightning.LightningModule,), {})()
        module.model = network()
        module.forward = module.model.forward
        trainer = type("Trainer", (), {"loggers": [Logger(".")], "global_step": 0})()
        callback.on_train_start(trainer, module)
        assert logged[0]["val/equivariance_raw/percent"] == logged[0]["val/equivariance_averaged/percent"]


class TestTransformers:
    @staticmethod
    def trained(folder, callbacks):
        transformers = pytest.importorskip("transformers", reason="Transformers is not installed")
        pytest.importorskip("accelerate", reason="Accelerate is not installed")

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = network()

            def forward(self, points, labels=None):
                found = self.layers(points)
                return {"logits": found} | ({} if labels is None else {"loss": (found - labels).square().mean()})

        data = [{"points": points, "labels": true} for points, true in zip(INPUTS, TARGETS, strict=True)]
        arguments = transformers.TrainingArguments(
            output_dir=str(folder), max_steps=10, per_device_train_batch_size=8, learning_rate=1e-2, report_to=[],
            disable_tqdm=True, save_strategy="no", use_cpu=True,
        )  # fmt: skip
        trainer = transformers.Trainer(Model(), arguments, train_dataset=data, callbacks=callbacks)
        trainer.train()
        return trainer

    def test_measures_and_leaves_the_training_alone(self, tmp_path):
        pytest.importorskip("transformers", reason="Transformers is not installed")
        from equidyn.integrations.transformers import EquivarianceCallback

        callback = EquivarianceCallback(INPUTS, TARGETS, predict=lambda model, points: model(points)["logits"])
        trainer = self.trained(tmp_path, [callback])
        found = {one["step"]: one for one in trainer.state.log_history if "equivariance_percent" in one}
        assert list(found) == STEPS
        assert found[10]["equivariance_percent"] == callback.monitor.history[-1]["percent"]
        without = self.trained(tmp_path, [])
        assert torch.equal(weights(trainer.model), weights(without.model))


class TestTorchMetrics:
    def test_batches_add_up(self):
        pytest.importorskip("torchmetrics", reason="TorchMetrics is not installed")
        from equidyn.integrations.torchmetrics import EquivariancePercent

        A = torch.from_numpy(rng.normal(size=(3, 3)).astype(np.float32))
        metric = EquivariancePercent(rotations=24)
        for batch in range(0, 32, 10):
            metric.update(lambda points: points @ A.T, INPUTS[batch : batch + 10], TARGETS[batch : batch + 10])
        found = metric.compute()
        expected = measure(lambda points: points @ A.T, INPUTS, TARGETS, exact=5)["prediction"]
        assert found["percent"] == pytest.approx(expected.percent, rel=0.05)
        assert found["percent_low"] < expected.percent < found["percent_high"]
        assert found["skill"] == pytest.approx(expected.numbers["skill"], abs=0.05)
        metric.reset()
        metric.update(lambda points: points, INPUTS, TARGETS)
        assert metric.compute()["relative_error"] < 1e-6

    def test_one_of_several_properties(self):
        pytest.importorskip("torchmetrics", reason="TorchMetrics is not installed")
        from equidyn.integrations.torchmetrics import EquivariancePercent

        def predict(points):
            return {"forces": points, "energy": points.square().sum((1, 2))}

        with pytest.raises(ValueError, match="name one of them"):
            EquivariancePercent().update(predict, INPUTS, {"forces": TARGETS})
        metric = EquivariancePercent(name="forces")
        metric.update(predict, INPUTS, {"forces": TARGETS})
        assert metric.compute()["percent"] < 1e-6

    def test_forward_draws_anew_and_nothing_is_refused(self):
        pytest.importorskip("torchmetrics", reason="TorchMetrics is not installed")
        from equidyn.integrations.torchmetrics import EquivariancePercent

        metric = EquivariancePercent(settings={"ranks": 1})
        one, other = (metric(lambda points: points.square(), INPUTS, 2 * TARGETS) for _ in range(2))
        assert one["percent"] != other["percent"]
        with pytest.raises(ValueError, match="clusters: "):
            EquivariancePercent(settings={"clusters": [0]})
