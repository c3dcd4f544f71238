"""Networks: their shapes, sizes, and the regularisation built into them."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError
from torch import nn

from runner.options import registry
from runner.options.architectures import Activation
from runner.options.layers import ACTIVATIONS, BatchNorm, Dropout, layers, weights
from runner.options.regularizers import Regularizer

FILES = sorted((Path(__file__).parents[2] / "conf" / "architecture").glob("*.yaml"))
OPTIONS = registry.OPTIONS["architecture"]
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32)]

Case = tuple[dict[str, Any], int, int | None]

# Settings; the number of layers; and of Dropout modules, without the inputs'. An architecture that is not here
# is built as its file has it, with as many layers as it says of itself.
NETWORKS: dict[str, list[Case]] = {
    "mlp": [({"hidden": ()}, 1, 0), ({"hidden": (5, 4)}, 3, 2)],
    "convnet": [
        ({"channels": (3, 4), "hidden": (6,)}, 4, 3),
        ({"channels": (2,) * 7, "hidden": ()}, 8, 7),  # more than halvings that fit into an image
    ],
    "nin": [
        ({"head": "gap", "width": 0.02, "hidden": ()}, 9, 2),
        ({"head": "fc", "width": 0.02, "hidden": ()}, 10, 2),
        ({"head": "fc_dropout", "width": 0.02, "hidden": ()}, 10, 3),
    ],
}


def as_in_its_file(name: str) -> list[Case]:
    texts = [file.read_text() for file in FILES if file.stem == name]
    options = [OPTIONS[name](**yaml.safe_load(text)) for text in texts]
    return [
        (option.model_dump(exclude={"name", "activation"}), option.num_layers, None)
        for option in options
    ]


CASES = [(name, *case) for name in OPTIONS for case in NETWORKS.get(name) or as_in_its_file(name)]
each_network = pytest.mark.parametrize(("name", "settings", "num_layers", "num_dropouts"), CASES)


def regularizer(**settings: Any) -> Regularizer:
    none = {"l1": 0.0, "l2": 0.0, "dropout": 0.0, "dropout_input": 0.0, "batch_norm": False}
    return Regularizer(**{**none, "max_norm": None} | settings)


def build(name: str, shape: tuple[int, int, int], settings: dict[str, Any], **kwargs: Any) -> Any:
    option = OPTIONS[name](name=name, **{"activation": "relu"} | settings)
    return option.build(shape, 10, regularizer(**kwargs))


def count(network: nn.Module, *kinds: type[nn.Module]) -> int:
    return sum(isinstance(module, kinds) for module in network.modules())


def num_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_every_option_is_built() -> None:
    assert {name for name, *_ in CASES} == OPTIONS.keys() >= NETWORKS.keys()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@each_network
def test_output(
    name: str,
    settings: dict[str, Any],
    num_layers: int,
    num_dropouts: int | None,
    shape: tuple[int, int, int],
) -> None:
    network = build(name, shape, settings, dropout=0.5)
    assert network(torch.rand(2, *shape)).shape == (2, 10)
    assert len(list(layers(network))) == num_layers
    assert count(network, Dropout) == num_dropouts or num_dropouts is None
    assert sum(w.numel() for w in weights(network)) == sum(
        p.numel() for p in network.parameters() if p.dim() > 1
    )


@each_network
def test_regularization_reaches_the_network(
    name: str, settings: dict[str, Any], num_layers: int, num_dropouts: int | None
) -> None:
    plain = build(name, (1, 8, 8), settings)
    # With no dropout at all, fc_dropout still has its layer (the schema refuses that setting).
    assert count(plain, Dropout) == (settings.get("head") == "fc_dropout")
    assert count(plain, BatchNorm) == 0
    assert all(layer.linear.bias is not None for layer in layers(plain))

    network = build(name, (1, 8, 8), settings, dropout=0.5, dropout_input=0.2, batch_norm=True)
    dropouts = [module for module in network.modules() if isinstance(module, Dropout)]
    scales = [dropout.scale.item() for dropout in dropouts]
    hidden = max(1, len(scales) - 1) if num_dropouts is None else num_dropouts
    assert scales == pytest.approx([1 / 0.8] + [1 / 0.5] * hidden)
    has_output_layer = settings.get("head") != "gap"
    assert count(network, BatchNorm) == num_layers - has_output_layer
    for layer in layers(network):
        assert (layer.linear.bias is None) == isinstance(layer.norm, BatchNorm)


def test_numbers_of_parameters() -> None:
    def nin(head: str) -> int:
        settings = {"head": head, "width": 1.0, "hidden": ()}
        return num_parameters(build("nin", (3, 32, 32), settings))

    assert num_parameters(build("mlp", (1, 28, 28), {"hidden": (100,)})) == 79_510
    assert nin("gap") == 966_986  # the authors' CIFAR-10 network
    assert nin("fc") == nin("fc_dropout") == 966_986 + 8 * 8 * 10 * 10 + 10
    convnet = build("convnet", (1, 28, 28), {"channels": (32, 64), "hidden": (128,)})
    assert num_parameters(convnet) == 320 + 18_496 + (7 * 7 * 64 * 128 + 128) + 1_290


def test_mlp_by_hand() -> None:
    network = build("mlp", (1, 2, 3), {"hidden": (5,), "activation": "tanh"}).double()
    x = np.random.default_rng(0).normal(size=(4, 1, 2, 3))
    (w1, b1), (w2, b2) = (
        (layer.linear.weight.detach().numpy(), layer.linear.bias.detach().numpy())
        for layer in layers(network)
    )
    expected = np.tanh(x.reshape(4, 6) @ w1.T + b1) @ w2.T + b2
    np.testing.assert_allclose(network(torch.tensor(x)).detach(), expected, rtol=1e-12)


def test_convolution_by_hand() -> None:
    """One 3×3 convolution padded by zeros, rectified, and the largest of each 2×2."""
    network = build("convnet", (1, 4, 4), {"channels": (2,), "hidden": ()}).double()
    x = np.random.default_rng(0).normal(size=(4, 4))
    first, output = (layer.linear for layer in layers(network))
    w, padded = first.weight.detach().numpy(), np.pad(x, 1)
    a = np.zeros((2, 2, 2))
    for k, i, j in np.ndindex(2, 4, 4):
        z = (w[k, 0] * padded[i : i + 3, j : j + 3]).sum() + first.bias[k].item()
        a[k, i // 2, j // 2] = max(a[k, i // 2, j // 2], z)
    expected = output.weight.detach().numpy() @ a.flatten() + output.bias.detach().numpy()
    np.testing.assert_allclose(
        network(torch.tensor(x)[None, None]).detach()[0], expected, rtol=1e-12
    )


def test_gap_head_is_the_mean_of_the_class_maps() -> None:
    network = build("nin", (1, 8, 8), {"head": "gap", "width": 0.02, "hidden": ()})
    x = torch.rand(3, 1, 8, 8)
    maps = network[:-1](x)
    assert maps.shape == (3, 10, 2, 2)
    torch.testing.assert_close(network(x), maps.flatten(2).mean(dim=2))


def test_activations() -> None:
    assert set(get_args(Activation)) == ACTIVATIONS.keys()
    for name, kind in ACTIVATIONS.items():
        network = build("mlp", (1, 2, 2), {"hidden": (3, 3), "activation": name})
        kinds = [type(layer.activation) for layer in layers(network)]
        assert kinds == [kind, kind, nn.Identity]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mlp", {"hidden": (0,), "activation": "relu"}),
        ("mlp", {"hidden": (5,), "activation": "swish"}),
        ("convnet", {"channels": (), "hidden": (), "activation": "relu"}),
        ("nin", {"head": "gap", "width": 0.0, "hidden": (), "activation": "relu"}),
        ("nin", {"head": "gap", "width": 1.0, "hidden": (5,), "activation": "relu"}),
    ],
)
def test_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OPTIONS[name](name=name, **settings)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files(file: Path) -> None:
    option = OPTIONS[file.stem].model_validate(yaml.safe_load(file.read_text()))
    assert option.name == file.stem
    assert option.build((1, 8, 8), 10, regularizer())(torch.rand(2, 1, 8, 8)).shape == (2, 10)


def test_every_option_has_a_file() -> None:
    assert {file.stem for file in FILES} == OPTIONS.keys()
