"""The peer of a search: Optuna as its tutorials use it, a process for each trial, networks by hand in PyTorch.

    python tests/benchmarks/search_peer.py --data mnist --root shared/data --pruner hyperband --trials 81

Prints a line for each epoch: seconds since the start, trial, epoch, accuracy on the validation split. It shares the
runner's files of examples and nothing else of it.
"""

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna

STUDY = "peer"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--root")
    parser.add_argument("--pruner", choices=("none", "halving", "hyperband"), default="none")
    parser.add_argument("--trials", type=int, default=81)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=100)
    parser.add_argument("--storage", type=Path, default=Path("peer.db"))
    parser.add_argument("--begun", type=float, default=time.time())
    parser.add_argument("--trial", type=int, help="train this one, and nothing else")
    return parser.parse_args()


def study_of(given: argparse.Namespace) -> optuna.Study:
    pruners: dict[str, Any] = {
        "none": optuna.pruners.NopPruner(),
        "halving": optuna.pruners.SuccessiveHalvingPruner(1, reduction_factor=3),
        "hyperband": optuna.pruners.HyperbandPruner(1, given.epochs, 3),
    }
    return optuna.create_study(
        study_name=STUDY,
        storage=f"sqlite:///{given.storage}",
        sampler=optuna.samplers.RandomSampler(seed=1000 * given.seed + (given.trial or 0)),
        pruner=pruners[given.pruner],
        direction="maximize",
        load_if_exists=True,
    )


def train(given: argparse.Namespace) -> None:
    """One trial: ask, train, report after each epoch, tell."""
    import torch
    from torch import nn

    from runner.data.examples import load
    from runner.options.data import Data

    torch.set_num_threads(1)
    torch.manual_seed(given.trial)
    study = study_of(given)
    trial = study.ask()
    rule = trial.suggest_categorical("optimizer", ["momentum", "adam"])
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    decay = trial.suggest_float("l2", 1e-6, 1e-2, log=True)
    size = trial.suggest_categorical("batch_size", [32, 64, 128, 256])
    sizes = {"digits": (300, (1, 8, 8)), "mnist": (10_000, (1, 28, 28))}[given.data]
    values = {
        "name": given.data, "root": given.root, "val_size": sizes[0], "train_size": 1.0,
        "classes": None, "standardize": "none", "augment": "none",
    }  # fmt: skip
    data = load(Data.model_validate(values))
    x, y = data.inputs(data.train.images).flatten(1), data.train.targets
    x_val, y_val = data.inputs(data.val.images).flatten(1), data.val.targets
    network = nn.Sequential(
        nn.Linear(x.shape[1], given.hidden), nn.ReLU(), nn.Linear(given.hidden, data.classes)
    )
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": others}]
    optimizer = (
        torch.optim.Adam(groups, lr=lr)
        if rule == "adam"
        else torch.optim.SGD(groups, lr=lr, momentum=trial.suggest_float("momentum", 0.0, 0.99))
    )
    for epoch in range(1, given.epochs + 1):
        for rows in torch.randperm(len(x)).split(size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (network(x_val).argmax(1) == y_val).float().mean().item()
        print(f"{time.time() - given.begun:.2f} {given.trial} {epoch} {accuracy:.5f}", flush=True)
        trial.report(accuracy, epoch)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
    study.tell(trial, accuracy)


def main() -> None:
    given = options()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if given.trial is not None:
        train(given)
        return
    study_of(given)
    words = [*sys.argv[1:], "--begun", str(given.begun)]

    def one(number: int) -> None:
        subprocess.run([sys.executable, __file__, *words, "--trial", str(number)], check=True)

    with ThreadPoolExecutor(given.workers) as pool:
        list(pool.map(one, range(given.trials)))


if __name__ == "__main__":
    main()
