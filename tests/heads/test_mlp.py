"""What the MLP head promises: schedules, selection, what is held out, counts, seeds."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from featbench.errors import FeatbenchError, UsageError
from featbench.heads import create_head
from featbench.heads._mlp_training import Training, hold_out
from featbench.heads.mlp import TorchMLP

X, Y = load_digits(return_X_y=True)
X, Y = X[:400].astype(np.float32), Y[:400]
KEYS = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds"]


def training(**settings: Any) -> Training:
    usual = {
        "epochs": 10, "batch_size": 8, "optimizer": "adamw", "lr": 1.0, "momentum": 0.9,
        "weight_decay": 0.0, "schedule": "constant", "warmup_epochs": 0, "step_epochs": 4,
        "step_factor": 0.1, "label_smoothing": 0.0, "select": "last", "patience": None,
        "validation_fraction": 0.2,
        "stop_after": None,
    }  # fmt: skip
    return Training(**usual | settings)


class TestSchedules:
    def test_constant(self) -> None:
        assert {training().rate(step, 5) for step in range(50)} == {1.0}

    def test_step_falls_by_its_factor_every_so_many_epochs(self) -> None:
        rates = [training(schedule="step").rate(step, 5) for step in range(50)]
        np.testing.assert_allclose(rates, [1.0] * 20 + [0.1] * 20 + [0.01] * 10)

    def test_cosine_falls_from_the_whole_rate_towards_nothing(self) -> None:
        rates = [training(schedule="cosine").rate(step, 5) for step in range(50)]
        np.testing.assert_allclose(rates, 0.5 * (1 + np.cos(np.pi * np.arange(50) / 50)))

    def test_warm_up_rises_linearly_then_the_schedule_begins(self) -> None:
        how = training(schedule="cosine", warmup_epochs=2)
        rates = [how.rate(step, 5) for step in range(50)]
        np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
        np.testing.assert_allclose(rates[10:], 0.5 * (1 + np.cos(np.pi * np.arange(40) / 40)))

    def test_the_history_has_the_rates_that_were_used(self) -> None:
        head = create_head("mlp", epochs=6, schedule="step", step_epochs=2, lr=0.01).fit(X, Y)
        rates = [row["lr"] for row in head.core_.history_]
        np.testing.assert_allclose(rates, [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])


class TestHeldOut:
    def test_a_fraction_of_each_class_and_of_the_whole(self) -> None:
        targets = np.repeat(np.arange(4), (50, 20, 10, 5))
        kept, out = hold_out(targets, 0.2, np.random.RandomState(0))
        assert np.bincount(targets[out]).tolist() == [10, 4, 2, 1]
        assert sorted([*kept, *out]) == list(range(85))
        again = hold_out(targets, 0.2, np.random.RandomState(0))[1]
        other = hold_out(targets, 0.2, np.random.RandomState(1))[1]
        assert np.array_equal(out, again)
        assert not np.array_equal(out, other)

    def test_classes_of_two_rows_give_one_by_lot_and_keep_one(self) -> None:
        targets = np.arange(200) % 100
        kept, out = hold_out(targets, 0.2, np.random.RandomState(0))
        assert len(out) == 40
        assert len(np.unique(targets[kept])) == 100
        assert len(hold_out(targets, 0.9, np.random.RandomState(0))[1]) == 100

    def test_no_row_to_spare_is_said(self) -> None:
        with pytest.raises(ValueError, match="no class has a row to spare"):
            hold_out(np.arange(9), 0.2, np.random.RandomState(0))
        with pytest.raises(ValueError, match="no class has a row to spare"):
            create_head("mlp").set_params(patience=1).fit(X[:2], [0, 1])

    def test_they_do_not_train(self) -> None:
        settings = {"select": "val_loss", "epochs": 2, "preprocess": "none"}
        first = create_head("mlp", **settings).fit(X, Y)
        rng = np.random.RandomState(0)
        rng.randint(2**31)  # the seed of the weights is drawn first
        kept, out = hold_out(Y, 0.2, rng)
        given = create_head("mlp", **settings).fit(X[kept], Y[kept], validation=(X[out], Y[out]))
        assert np.array_equal(first.decision_function(X), given.decision_function(X))

    def test_the_fraction_is_the_settings(self) -> None:
        _, out = hold_out(Y, 0.5, np.random.RandomState(0))
        assert len(out) == 200


class TestSelection:
    def test_the_epoch_with_the_lowest_validation_loss_is_kept(self) -> None:
        settings = {"lr": 0.05, "epochs": 12, "dropout": 0.0, "preprocess": "standardise"}
        train, val = (X[:100], Y[:100]), (X[300:], Y[300:])
        head = create_head("mlp", **settings, select="val_loss").fit(*train, validation=val)
        losses = [row["val_loss"] for row in head.core_.history_]
        best = head.core_.best_epoch_
        assert len(losses) == 12
        assert best == int(np.argmin(losses)) + 1 < 12
        chances = head.predict_proba(val[0])[np.arange(100), val[1]]
        assert -np.log(chances).mean() == pytest.approx(min(losses), rel=1e-4)
        right = head.core_.history_[best - 1]["val_accuracy"]
        assert head.score(*val) == pytest.approx(right)
        short = create_head("mlp", **settings | {"epochs": best}).fit(*train, validation=val)
        assert np.array_equal(short.predict_proba(X), head.predict_proba(X))

    def test_the_last_epoch_is_kept_otherwise(self) -> None:
        head = create_head("mlp", epochs=3).fit(X, Y, validation=(X[:9], Y[:9]))
        assert head.core_.best_epoch_ == 3
        assert np.isfinite([row["val_loss"] for row in head.core_.history_]).all()

    def test_patience_stops_after_so_many_epochs_without_a_lower_loss(self) -> None:
        settings = {"lr": 0.05, "epochs": 200, "patience": 3, "select": "val_loss"}
        head = create_head("mlp", **settings).fit(X[:100], Y[:100], validation=(X[300:], Y[300:]))
        assert len(head.core_.history_) == head.core_.best_epoch_ + 3 < 200
        last = create_head("mlp", **settings | {"select": "last"})
        last.fit(X[:100], Y[:100], validation=(X[300:], Y[300:]))
        assert last.core_.best_epoch_ == len(last.core_.history_) == len(head.core_.history_)

    def test_validation_rows_are_preprocessed_as_the_training_rows_are(self) -> None:
        scale = StandardScaler().fit(X[:300])
        rows, held = scale.transform(X[:300]), scale.transform(X[300:])
        ours = create_head("mlp", epochs=2).fit(X[:300], Y[:300], validation=(X[300:], Y[300:]))
        plain = create_head("mlp", epochs=2, preprocess="none")
        plain.fit(rows, Y[:300], validation=(held, Y[300:]))
        first, second = (head.core_.history_[-1]["val_loss"] for head in (ours, plain))
        assert first == pytest.approx(second, rel=1e-5)

    def test_other_heads_leave_validation_alone(self) -> None:
        first = create_head("ridge").fit(X, Y, validation=(X, Y)).decision_function(X)
        assert np.array_equal(first, create_head("ridge").fit(X, Y).decision_function(X))

    def test_validation_that_cannot_be_is_refused(self) -> None:
        head = create_head("mlp", epochs=1)
        with pytest.raises(ValueError, match="labels that training rows lack: \\[9\\]"):
            head.fit(X[Y < 9], Y[Y < 9], validation=(X, Y))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            head.fit(X, Y, validation=(X, Y[:5]))
        with pytest.raises(ValueError, match="features"):
            head.fit(X, Y, validation=(X[:, :5], Y))


def test_the_history_has_a_row_an_epoch() -> None:
    history = create_head("mlp", epochs=4).fit(X, Y).core_.history_
    assert [list(row) for row in history] == [KEYS] * 4
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["train_accuracy"] > history[0]["train_accuracy"]
    assert (
        {row["val_loss"] for row in history} == {row["val_accuracy"] for row in history} == {None}
    )
    assert all(row["seconds"] > 0 for row in history)
    assert all(type(v) in (int, float, type(None)) for row in history for v in row.values())


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "lr": 0.01},
        {"optimizer": "adam"},
        {"batch_norm": True, "label_smoothing": 0.1, "schedule": "cosine", "warmup_epochs": 1},
        {"hidden": (64, 32), "class_weight": "balanced"},
        {"hidden": (), "lr": 0.02, "select": "val_loss", "patience": 4},
    ],
    ids=str,
)
def test_every_way_of_training_learns_and_is_repeatable(settings: dict[str, Any]) -> None:
    first, second = (create_head("mlp", **settings).fit(X[:300], Y[:300]) for _ in range(2))
    assert first.score(X[300:], Y[300:]) > 0.8
    assert np.array_equal(first.decision_function(X), second.decision_function(X))
    state = torch.random.get_rng_state()
    create_head("mlp", **settings).fit(X[:50], Y[:50])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_parameters_are_counted_exactly() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 64 * 64 * 3)).astype(np.float32)
    settings = {"hidden": (200, 100, 50), "batch_norm": True, "epochs": 1}
    assert create_head("mlp", **settings).fit(rows, np.arange(20) % 10).parameter_count() == (
        2_484_160
    )


def test_softmax_regression_comes_to_scikit_learns() -> None:
    rows, labels = load_wine(return_X_y=True)
    rows = StandardScaler().fit_transform(rows)
    for weight in (None, {0: 5.0, 1: 0.3}):
        theirs = LogisticRegression(  # the bias as one more weight: ours has the penalty too
            C=0.05, class_weight=weight, tol=1e-8, fit_intercept=False
        ).fit(np.c_[rows, np.ones(len(rows))], labels)
        expected = theirs.predict_proba(np.c_[rows, np.ones(len(rows))])
        decay = 1 / (0.05 * len(rows))
        ours = create_head(
            "mlp", hidden=[], optimizer="sgd", lr=0.05, epochs=1500, batch_size=len(rows),
            weight_decay=decay, class_weight=weight, preprocess="none",
        ).fit(rows, labels)  # fmt: skip
        np.testing.assert_allclose(ours.predict_proba(rows), expected, atol=1e-4)


def test_balanced_weights_are_scikit_learns_in_the_loss() -> None:
    few = np.r_[np.flatnonzero(Y == 0)[:6], np.flatnonzero(Y == 1)[:30]]
    explicit = {0: 36 / 12, 1: 36 / 60}
    first, second = (
        create_head("mlp", epochs=3, class_weight=w).fit(X[few], Y[few]).core_.history_
        for w in ("balanced", explicit)
    )
    assert [row["train_loss"] for row in first] == [row["train_loss"] for row in second]


def test_dropout_and_batch_norm_lie_where_they_should() -> None:
    module = create_head("mlp", hidden=[7], batch_norm=True, epochs=1).fit(X, Y).core_.module_
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout, nn.Linear]
    assert [type(layer) for layer in module] == kinds
    assert not module.training


def test_batch_norm_trains_where_one_row_is_left_over() -> None:
    head = create_head("mlp", batch_norm=True, batch_size=8, epochs=2).fit(X[:33], Y[:33])
    assert np.isfinite(head.decision_function(X)).all()


def test_a_row_hangs_on_no_neighbour() -> None:
    head = create_head("mlp", batch_norm=True, epochs=2).fit(X, Y)
    np.testing.assert_allclose(
        head.predict_proba(X[:1]), head.predict_proba(X)[:1], rtol=1e-12, atol=0
    )


def test_a_loss_that_is_not_finite_stops_with_advice() -> None:
    head = create_head("mlp", optimizer="sgd", preprocess="none")
    with pytest.raises(FeatbenchError, match=r"in epoch \d+ .*try a lower lr \(it is 1e\+20\)"):
        head.set_params(lr=1e20).fit(X, Y)


def test_a_missing_device_is_said() -> None:
    assert create_head("mlp", device="auto", epochs=1).fit(X, Y).core_.module_[0].weight.is_cpu
    with pytest.raises(UsageError, match="auto takes what there is"):
        create_head("mlp", device="cuda:99")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_learns_the_same() -> None:
    cpu, cuda = (
        create_head("mlp", device=d, dropout=0.0, epochs=3).fit(X, Y) for d in ("cpu", "cuda")
    )
    np.testing.assert_allclose(cpu.predict_proba(X), cuda.predict_proba(X), atol=1e-2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": [0]}, r"hidden=\(0,\): expected a list of whole numbers"),
        ({"hidden": [2.5]}, "whole numbers"),
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"lr": 0}, "lr=0"),
        ({"lr": "fast"}, "lr='fast'"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"weight_decay": -1}, "weight_decay=-1"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"batch_norm": "yes"}, "batch_norm='yes'"),
        ({"batch_norm": True, "batch_size": 1}, "batch_size of 2 or more"),
        ({"optimizer": "lion"}, "expected adamw, adam, sgd"),
        ({"schedule": "sine"}, "expected constant, cosine, step"),
        ({"warmup_epochs": 31}, "more than epochs=30"),
        ({"step_epochs": 0}, "step_epochs=0"),
        ({"step_factor": 0.0}, "step_factor=0.0"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"select": "best"}, "expected last, val_loss"),
        ({"patience": 0}, "patience=0"),
        ({"validation_fraction": 1.0}, "validation_fraction=1.0"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"class_weight": "even"}, "class_weight='even'"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_head("mlp", **settings)


def test_two_classes_have_one_score() -> None:
    rows, labels = load_breast_cancer(return_X_y=True)
    head = create_head("mlp", epochs=3, batch_norm=True).fit(rows, labels)
    assert head.decision_function(rows).shape == (len(rows),)
    assert np.array_equal(head.predict(rows), (head.decision_function(rows) > 0).astype(int))


def test_settings_are_tried_on_a_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """However wide and long it would be; and the values themselves are looked at."""
    made: list[int] = []
    layers = TorchMLP._layers

    def noted(self: TorchMLP, width: int, classes: int) -> torch.nn.Sequential:
        made.append(sum(p.numel() for p in layers(self, width, classes).parameters()))
        assert self.epochs == 1
        return layers(self, width, classes)

    monkeypatch.setattr(TorchMLP, "_layers", noted)
    head = create_head("mlp", hidden=[2**15] * 9, epochs=10**6, warmup_epochs=5, batch_norm=True)
    assert head.get_params()["epochs"] == 10**6
    assert made
    assert max(made) < 100
    with pytest.raises(UsageError, match="hidden="):
        create_head("mlp", hidden=[2**15, 0])
    with pytest.raises(UsageError, match="warmup_epochs=9 is more"):
        create_head("mlp", epochs=8, warmup_epochs=9)


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_stopping_leaves_the_rates_as_they_are(schedule: str) -> None:
    settings: dict[str, Any] = {
        "hidden": (8,), "epochs": 9, "schedule": schedule, "warmup_epochs": 3, "step_epochs": 2
    }  # fmt: skip
    whole = create_head("mlp", **settings).fit(X, Y).core_
    part = create_head("mlp", **settings, stop_after=4).fit(X, Y).core_
    rates = [[row["lr"] for row in core.history_] for core in (whole, part)]
    assert rates[1] == rates[0][:4]
    losses = [[row["train_loss"] for row in core.history_] for core in (whole, part)]
    assert losses[1] == losses[0][:4]
    assert part.best_epoch_ == 4
    assert len(create_head("mlp", epochs=2, stop_after=5).fit(X, Y).core_.history_) == 2
