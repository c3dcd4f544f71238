"""How fast sweeps are, stacked against one by one: whole commands. Not part of the default run:

    python -m pytest tests/benchmarks/test_stack_speed.py --override-ini addopts= -s

Both commands of a ratio are run in turns, because a machine's speed changes by the minute.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

SHARED = Path(__file__).parents[3] / "shared" / "data"
ROUNDS = int(os.environ.get("ROUNDS", "3"))
EPOCHS = os.environ.get("EPOCHS", "3")
RATES = "optimizer.lr=3e-4,1e-3,3e-3,1e-2"
SWEEPS = {
    "16 runs 784-100-10 batch 64": [RATES, "seed=range(4)", "batch_size.size=64"],
    "64 runs 784-100-10 batch 64": [RATES, "seed=range(16)", "batch_size.size=64"],
    "16 runs 784-30-10 batch 10": [
        RATES,
        "seed=range(4)",
        "batch_size.size=10",
        "architecture.hidden=[30]",
    ],
}


def sweep(folder: Path, launcher: str, overrides: list[str]) -> float:
    """Seconds that a sweep on MNIST takes."""
    command = [sys.executable, "-m", "runner", "-m", *overrides, f"hydra/launcher={launcher}"]
    common = ["data=mnist", f"data.root='{SHARED}'", "optimizer=adam", f"epochs={EPOCHS}"]
    start = time.perf_counter()
    subprocess.run([*command, *common, "resume=false"], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


@pytest.mark.skipif(not SHARED.is_dir(), reason="no MNIST beside the repository")
@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_stacked_over_one_by_one(
    benchmark: BenchmarkFixture, tmp_path: Path, name: str
) -> None:
    ratios: list[float] = []
    seconds: list[tuple[float, float]] = []

    def both() -> None:
        basic, stacked = (sweep(tmp_path, which, SWEEPS[name]) for which in ("basic", "stacked"))
        seconds.append((basic, stacked))
        ratios.append(basic / stacked)

    benchmark.pedantic(both, rounds=ROUNDS)
    benchmark.extra_info["ratio"] = ratio = statistics.median(ratios)
    shown = ", ".join(f"{basic:.1f} and {stacked:.1f} s" for basic, stacked in seconds)
    print(f"\n{name}: {ratio:.2f} times as fast stacked ({shown})")
