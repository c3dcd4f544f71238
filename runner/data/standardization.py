"""How stored numbers become a network's inputs: input = stored·scale + shift."""

import torch
from torch import Tensor


def standardization(images: Tensor, maximum: int, kind: str) -> tuple[Tensor, Tensor]:
    """Scale and shift, of shape () or (channels, height, width), from the training images alone.

    Args:
        images: (n, channels, height, width), uint8 or float32.
        maximum: What a stored 1.0 is.
        kind: none, global or per_feature; see `Data.standardize`.
    """
    if kind == "none":
        return torch.tensor(1 / maximum), torch.tensor(0.0)
    # Floats are summed as distances from the first one: what never changes then has no spread at all.
    origin = torch.zeros((), dtype=torch.float64)
    if images.dtype != torch.uint8:
        origin = images[0].double() if kind == "per_feature" else images[0].double().mean()
    total = torch.zeros(images.shape[1:], dtype=torch.float64)
    squares = total.clone()
    # In pieces: a float64 copy of all of MNIST would fill 380 MB.
    for piece in images.split(1000):
        distances = piece.double() - origin
        total += distances.sum(dim=0)
        squares += distances.square().sum(dim=0)
    # Divided once, and so exact where a pixel never changes: its variance is 0, not 1e-14.
    mean, square = total / len(images), squares / len(images)
    if kind == "global":
        mean, square = mean.mean(), square.mean()
    std = (square - mean.square()).clamp(min=0).sqrt()
    # A pixel that never changes has no spread to divide by: it becomes 0.
    std = torch.where(std > 0, std, 1.0)
    return (1 / std).float(), (-(mean + origin) / std).float()
