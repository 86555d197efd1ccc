"""What training above a cut promises of its settings: rates, losses, layers, the kept epoch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from featbench.datasets import Dataset, load_dataset
from featbench.errors import FeatbenchError, UsageError
from featbench.extraction import extract
from featbench.finetune import FineTuneClassifier, Schedule
from featbench.finetune._last_layers import put_last_layers
from featbench.finetune._objective import Objective, balanced_weights
from featbench.finetune._rates import parameter_groups
from featbench.finetune._trainer import Trainer
from featbench.heads import create_head
from featbench.networks import PIXELS, create_network
from featbench.progress import SILENT
from tests.conftest import make_photos

CPU = torch.device("cpu")
SIXTEEN_BITS = 1e-3
"""What keeping values at the cut in 16 bits may change in a probability."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("t") / "p", {"train": 12, "val": 6, "test": 6})
    return load_dataset(root)


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    options = {"network": "lenet5", "weights": "random", "epochs": 3, "batch": 8, **options}
    return FineTuneClassifier(cache=cache, **options).fit(data)


def make_rows(count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
    return rows, (rows[:, 0] > 0).long()


def train(schedule: Schedule, rows: Any = None, val: Any = None) -> tuple[nn.Module, Any, int]:
    torch.manual_seed(0)
    module = nn.Linear(4, 2)
    groups = [{"params": list(module.parameters()), "lr": schedule.lr}]
    trainer = Trainer(module, lambda batch: batch, CPU, Objective())
    history, best = trainer.fit(rows or make_rows(), val, schedule, groups, SILENT)
    return module, history, best


class TestRates:
    def test_the_classifier_and_each_block_have_their_own(self) -> None:
        network = create_network("lenet5", classes=3)
        schedule = Schedule(lr=0.1, backbone_lr=0.01, layer_decay=0.5)
        _, groups = parameter_groups(network, PIXELS, schedule)
        rates = {id(p): group["lr"] for group in groups for p in group["params"]}
        found = {name: rates[id(p)] for name, p in network.module.named_parameters()}
        expected = {"fc3": 0.1, "fc2": 0.005, "fc1": 0.0025, "conv2": 0.00125, "conv1": 0.000625}
        assert found == {n: pytest.approx(expected[n.split(".")[0]]) for n in found}

    def test_frozen_parameters_are_in_no_group(self) -> None:
        network = create_network("mobilenet_v3_small", "random", 3)
        _, groups = parameter_groups(network, network.place_of(1), Schedule(layer_decay=0.9))
        held = {id(p) for group in groups for p in group["params"]}
        trained = {id(p) for p in network.module.parameters() if p.requires_grad}
        assert held == trained
        assert 0 < len(held) < len(list(network.module.parameters()))

    @pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
    def test_the_history_has_the_rates_that_were_used(self, schedule: str) -> None:
        how = Schedule(epochs=4, schedule=schedule, step_epochs=2, warmup_epochs=1, select="last")
        _, history, _ = train(how)
        steps = 2  # 60 rows, 32 a step
        assert [row["lr"] for row in history] == [how.rate(steps * e + 1, steps) for e in range(4)]
        assert set(history[0]) == {"epoch", "train_loss", "train_accuracy", "lr", "seconds"}

    def test_a_tiny_rate_of_the_backbone_leaves_it_where_it_was(
        self, data: Dataset, tmp_path: Path
    ) -> None:
        model = tune(data, tmp_path, blocks="all", backbone_lr=1e-12)
        start = create_network("lenet5", classes=3).module.state_dict()
        for name, tensor in model.network_.module.state_dict().items():
            assert torch.allclose(tensor, start[name], atol=1e-8) == (not name.startswith("fc3"))

    @pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
    def test_fused_steps_are_the_plain_ones(self, optimizer: str) -> None:
        how, results = Schedule(optimizer=optimizer, weight_decay=0.1), []
        for device in (CPU, torch.device("meta")):  # the latter is not fused
            torch.manual_seed(0)
            module = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
            stepper = how.make_optimizer(module.parameters(), device)
            for _ in range(5):
                stepper.zero_grad()
                module(torch.ones(2, 3, 5, 5)).square().sum().backward()
                stepper.step()
            results.append(module.weight.detach())
        torch.testing.assert_close(*results)


class TestLosses:
    def test_the_squared_error_is_of_sigmoids_against_one_hot_targets(self) -> None:
        outputs, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
        objective = Objective("mse")
        expected = functional.mse_loss(outputs.sigmoid(), functional.one_hot(target, 3).float())
        torch.testing.assert_close(objective(outputs, target, training=True), expected)
        chances = objective.probabilities(outputs)
        shares = outputs.sigmoid() / outputs.sigmoid().sum(1, keepdim=True)
        torch.testing.assert_close(chances, shares)

    def test_a_single_output_is_a_sigmoid_with_binary_cross_entropy(self) -> None:
        outputs, target = torch.randn(6, 1), torch.tensor([0, 1, 1, 0, 1, 0])
        objective = Objective(smoothing=0.2)
        scores = objective.scores(outputs)
        smooth = target.float() * 0.8 + 0.1
        for training, wanted in ((True, smooth), (False, target.float())):
            expected = functional.binary_cross_entropy_with_logits(outputs[:, 0], wanted)
            torch.testing.assert_close(objective(scores, target, training=training), expected)
        torch.testing.assert_close(objective.probabilities(scores)[:, 1], outputs[:, 0].sigmoid())

    def test_a_single_output_with_the_squared_error(self) -> None:
        outputs, target = torch.randn(6, 1), torch.tensor([0, 1, 1, 0, 1, 0])
        objective = Objective("mse")
        scores = objective.scores(outputs)
        expected = functional.mse_loss(outputs[:, 0].sigmoid(), target.float())
        torch.testing.assert_close(objective(scores, target, training=False), expected)
        torch.testing.assert_close(objective.probabilities(scores)[:, 1], outputs[:, 0].sigmoid())

    def test_balanced_classes_count_the_same_in_all(self) -> None:
        labels = torch.tensor([0] * 6 + [1] * 2)
        weights = balanced_weights(labels, 3)
        assert weights.tolist() == pytest.approx([8 / 12, 2, 1])
        outputs = torch.randn(8, 3)
        weighted = Objective(weight=weights)(outputs, labels, training=True)
        losses = functional.cross_entropy(outputs, labels, reduction="none")
        torch.testing.assert_close(weighted, (losses[:6].mean() + losses[6:].mean()) / 2)

    @pytest.mark.parametrize("options", [{"loss": "mse", "lr": 0.01}, {"class_weight": "balanced"}])
    def test_they_learn(self, options: dict[str, Any], data: Dataset, tmp_path: Path) -> None:
        assert tune(data, tmp_path, blocks="all", epochs=12, **options).score(data.test) > 0.8

    def test_two_classes_by_one_sigmoid(self, tmp_path: Path) -> None:
        root = make_photos(tmp_path / "p", {"train": 12, "val": 6, "test": 6})
        for folder in root.glob("*/sky"):
            folder.rename(tmp_path / f"{folder.parent.name}-sky")
        two = load_dataset(root)
        model = tune(two, tmp_path / "c", blocks="all", epochs=12, binary="sigmoid")
        assert model.total_ == 61_706 - 9 * 85
        assert model.score(two.test) > 0.8
        np.testing.assert_allclose(model.predict_proba(two.test).sum(1), 1)
        found = extract(two, "lenet5", cache=tmp_path / "c")
        head = create_head("logreg").fit(found.train.X, found.train.y)
        options = {"warm_start": head, "epochs": 1, "lr": 1e-12, "binary": "sigmoid"}
        warm = tune(two, tmp_path / "c", **options)
        theirs = head.predict_proba(found.test.X)
        np.testing.assert_allclose(warm.predict_proba(two.test), theirs, atol=SIXTEEN_BITS)


class TestLastLayers:
    def test_hidden_layers_stand_before_the_classifier_and_train(
        self, data: Dataset, tmp_path: Path
    ) -> None:
        model = tune(data, tmp_path, blocks=0, hidden=[16, 8], dropout=0.1)
        assert model.cut_ == "classifier"
        assert model.trainable_ == (84 * 16 + 16) + (16 * 8 + 8) + (8 * 3 + 3)
        kinds = [type(layer).__name__ for layer in model.network_.module.fc3]
        assert kinds == ["Dropout", *["Linear", "ReLU", "Dropout"] * 2, "Linear"]
        fresh = create_network("lenet5", classes=3)
        put_last_layers(fresh, Schedule(hidden=[16, 8], dropout=0.1), 0)
        state = model.network_.module.state_dict()
        for name, tensor in fresh.module.state_dict().items():
            assert torch.equal(state[name], tensor) != name.startswith("fc3"), name

    def test_the_whole_network_is_still_what_was_trained(
        self, data: Dataset, tmp_path: Path
    ) -> None:
        model = tune(data, tmp_path, blocks=1, hidden=[16])
        whole = tune(data, tmp_path, blocks="all", hidden=[16], epochs=1)
        pixels = whole.network_.preprocessing.normalise(whole.inputs_.tensors["test"])
        with torch.inference_mode():
            chances = model.network_.module.eval()(pixels).softmax(1).numpy()
        np.testing.assert_allclose(chances, model.predict_proba(data.test), atol=1e-4)

    def test_the_networks_own_dropout_takes_the_new_share(self) -> None:
        network = create_network("efficientnet_b0", "random", 3)
        before = sum(isinstance(m, nn.Dropout) for m in network.module.modules())
        put_last_layers(network, Schedule(), 0)
        assert network.module.classifier[0].p == 0.2
        put_last_layers(network, Schedule(dropout=0.5), 0)
        shares = [m.p for m in network.module.modules() if isinstance(m, nn.Dropout)]
        assert shares == [0.5] * before

    def test_dropout_changes_training_and_not_prediction(
        self, data: Dataset, tmp_path: Path
    ) -> None:
        plain, dropped = (tune(data, tmp_path, blocks=1, dropout=d) for d in (None, 0.5))
        first = dropped.predict_proba(data.test)
        assert not np.allclose(plain.predict_proba(data.test), first)
        assert np.array_equal(dropped.predict_proba(data.test), first)


class TestWarmStart:
    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("logreg", {}),
            ("logreg", {"preprocess": "none"}),
            ("ridge", {}),
            ("centroid", {"metric": "euclidean"}),
            ("mlp", {"hidden": [], "epochs": 3}),
        ],
    )
    def test_the_first_predictions_are_the_heads(
        self, name: str, settings: dict[str, Any], data: Dataset, tmp_path: Path
    ) -> None:
        found = extract(data, "lenet5", cache=tmp_path)
        head = create_head(name, **settings).fit(found.train.X, found.train.y)
        model = tune(data, tmp_path, warm_start=head, epochs=1, lr=1e-12, dropout=0.3)
        assert np.array_equal(model.predict(data.test), head.predict(found.test.X))
        weight, bias = head.linear_layer()
        logits = torch.from_numpy(found.test.X.astype(np.float64) @ weight.T + bias)
        chances = model.predict_proba(data.test)
        np.testing.assert_allclose(chances, logits.softmax(1).numpy(), atol=SIXTEEN_BITS)

    def test_a_head_that_is_not_linear_or_hidden_layers_are_refused(
        self, data: Dataset, tmp_path: Path
    ) -> None:
        found = extract(data, "lenet5", cache=tmp_path)
        for name, options, expected in (
            ("knn", {}, "is not one linear layer"),
            ("logreg", {"hidden": [4]}, "goes without hidden"),
        ):
            head = create_head(name).fit(found.train.X, found.train.y)
            with pytest.raises(UsageError, match=expected):
                tune(data, tmp_path, warm_start=head, **options)


class TestTheKeptEpoch:
    def test_patience_stops_and_the_best_epoch_is_kept(self) -> None:
        val = make_rows(40)[0], 1 - make_rows(40)[1]  # wrong labels: the loss only rises
        module, history, best = train(Schedule(epochs=50, patience=2), val=val)
        assert (len(history), best) == (3, 1)
        once = train(Schedule(epochs=1), val=val)[0]
        assert torch.equal(module.weight, once.weight)

    def test_by_accuracy_the_first_of_the_highest_is_kept(self) -> None:
        val = make_rows(40)
        _, history, best = train(Schedule(epochs=20, lr=0.05, select="val_accuracy"), val=val)
        rates = [row["val_accuracy"] for row in history]
        assert best == int(np.argmax(rates)) + 1 < 20
        assert len(set(rates)) > 1

    def test_a_loss_that_is_no_number_says_where_and_what_to_do(self) -> None:
        rows, labels = make_rows()
        rows[:] = torch.nan
        with pytest.raises(FeatbenchError, match=r"epoch 1, batch 1: .*lower lr .*clip_norm"):
            train(Schedule(select="last"), (rows, labels))
        with pytest.raises(FeatbenchError, match=r"epoch 1, validation: .*lower lr"):
            train(Schedule(), val=(rows, labels))

    def test_clipped_gradients_are_no_longer_than_asked(self) -> None:
        how = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "epochs": 1, "select": "last"}
        start = train(Schedule(**how, clip_norm=1e-9))[0]
        for batches, norm in ((1, 0.01), (1, 1e6)):
            clipped = train(Schedule(**how, batch=60, clip_norm=norm))[0]
            moved = [(a - b).detach() for a, b in zip(clipped.parameters(), start.parameters(),
                                                      strict=True)]  # fmt: skip
            length = torch.cat([m.flatten() for m in moved]).norm().item()
            assert (length == pytest.approx(0.01 * batches, rel=1e-3)) == (norm == 0.01)

    def test_mixed_precision_trains_in_bfloat16_and_predicts_in_float32(self) -> None:
        plain, mixed = (train(Schedule(amp=amp, select="last"))[0] for amp in (False, True))
        assert mixed.weight.dtype == torch.float32
        assert not torch.equal(plain.weight, mixed.weight)
        torch.testing.assert_close(plain.weight, mixed.weight, atol=0.02, rtol=0)


@pytest.mark.parametrize("options", [
    {"optimizer": "adamw", "schedule": "cosine", "warmup_epochs": 1, "layer_decay": 0.7},
    {"hidden": [8], "dropout": 0.5, "amp": True, "clip_norm": 1.0, "label_smoothing": 0.1},
])  # fmt: skip
def test_two_runs_are_identical(options: dict[str, Any], data: Dataset, tmp_path: Path) -> None:
    first, again = (tune(data, tmp_path, blocks="all", **options) for _ in range(2))
    assert np.array_equal(first.predict_proba(data.test), again.predict_proba(data.test))


def test_what_is_frozen_keeps_every_byte_under_every_setting(data: Dataset, tmp_path: Path) -> None:
    model = tune(
        data, tmp_path, network="mobilenet_v3_small", blocks=1, epochs=1, optimizer="sgd",
        weight_decay=0.5, layer_decay=0.5, clip_norm=1.0, amp=True, class_weight="balanced",
    )  # fmt: skip
    start = create_network("mobilenet_v3_small", "random", 3).module.state_dict()
    above = model.network_.blocks[-1].name
    for name, tensor in model.network_.module.state_dict().items():
        if not name.startswith((f"{above}.", "classifier.")):
            assert tensor.numpy().tobytes() == start[name].numpy().tobytes(), name
    parameters = dict(model.network_.module.named_parameters())
    for name, parameter in parameters.items():
        if not name.startswith((f"{above}.", "classifier.")):
            assert parameter.grad is None
            assert not parameter.requires_grad
