"""A trained network for other programs: raw images in, probabilities out.

python -m runner.export outputs/adam_bn/default-2d81ddf79636a93e --onnx digits.onnx
python -m runner.export outputs/adam_bn/default-2d81ddf79636a93e --torchscript digits.pt
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from runner.command.outcome import add_plugin, exit_code
from runner.command.terminal import out
from runner.errors import ConfigError
from runner.runs.files import write_atomically
from runner.runs.folder import RunFolder
from runner.runs.listing import run_at

if TYPE_CHECKING:
    from torch import Tensor

    from runner.training.trained import TrainedNetwork

TOLERANCE = 1e-5
EXAMPLES = 3
IMAGES, PREDICTIONS = "images", "predictions"  # what a program calls input and output


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 2 no such run, a damaged one, a library that is missing, or a file that cannot be written."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.export", description="Writes a trained network for other programs."
    )
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="for ONNX Runtime and others")
    parser.add_argument("--torchscript", type=Path, metavar="FILE", help="for torch.jit.load")
    add_plugin(parser)
    options = parser.parse_args(arguments)
    if not (options.onnx or options.torchscript):
        parser.error("--onnx FILE or --torchscript FILE, or both")
    return exit_code(lambda: export(options.run, options.onnx, options.torchscript), options.plugin)


def export(run: Path, onnx: Path | None, torchscript: Path | None) -> None:
    """Writes the network of a run, after what was written was compared with it.

    Raises:
        ConfigError: A library is missing.
    """
    if onnx:
        check_installed()
    folder = RunFolder(run_at(run))
    from runner.training.trained import trained_network  # imports torch

    network = trained_network(folder)
    shape = ", ".join(map(str, network.inputs.shape))
    for path, made in (
        (onnx, onnx and to_onnx(network)),
        (torchscript, torchscript and to_torchscript(network)),
    ):
        if path and made:
            write_atomically(path, made)
            out.print(f"{path}: {IMAGES} (n, {shape}) float32, unscaled; {len(made):,} bytes")


def check_installed() -> None:
    """Raises ConfigError where a library is missing that ONNX takes."""
    from importlib.util import find_spec

    missing = []
    for name in ("onnx", "onnxscript", "onnxruntime"):
        with suppress(ImportError):
            if find_spec(name):
                continue
        missing.append(name)
    if missing:
        raise ConfigError([f"--onnx needs what is not installed: pip install {' '.join(missing)}"])


def to_onnx(network: "TrainedNetwork") -> bytes:
    """The network as an ONNX model for any number of images; its metadata has the names of the classes."""
    import logging
    import warnings

    import onnxruntime
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # of torchvision, which is not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        exported = torch.onnx.export(
            network,
            (examples(network),),
            dynamo=True,
            input_names=[IMAGES],
            output_names=[PREDICTIONS],
            dynamic_shapes={IMAGES: {0: torch.export.Dim("n")}},
            verbose=False,
        )
    assert exported
    model = exported.model_proto
    if network.inputs.class_names is not None:
        names = json.dumps(network.inputs.class_names, ensure_ascii=False)
        model.metadata_props.add(key="class_names", value=names)
    data = bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    images = examples(network)
    (found,) = session.run(None, {IMAGES: images.numpy()})
    check(network, images, torch.from_numpy(found), "ONNX Runtime")
    return data


def to_torchscript(network: "TrainedNetwork") -> bytes:
    """The network as TorchScript for any number of images."""
    import warnings

    import torch

    buffer = BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch would rather have everybody use torch.export
        torch.jit.save(torch.jit.trace(network, examples(network, EXAMPLES + 1)), buffer)
        data = buffer.getvalue()
        loaded = torch.jit.load(BytesIO(data))
    images = examples(network)
    check(network, images, loaded(images), "TorchScript")
    return data


def examples(network: "TrainedNetwork", count: int = EXAMPLES) -> "Tensor":
    """Random images between black and white."""
    import torch

    inputs = network.inputs
    noise = torch.rand(count, *inputs.shape, generator=torch.Generator().manual_seed(0))
    return inputs.black + noise * (inputs.white - inputs.black)


def check(network: "TrainedNetwork", images: "Tensor", found: "Tensor", who: str) -> None:
    """Raises ConfigError where what was exported gives other predictions."""
    import torch

    with torch.no_grad():
        expected = network(images)
    difference = (expected - found).abs().max().item()
    if not difference <= TOLERANCE * max(1.0, expected.abs().max().item()):
        raise ConfigError([f"{who} differs from the network by {difference:g}: nothing is written"])


if __name__ == "__main__":
    sys.exit(main())
