"""What a trained network makes of pictures: a bar for each class.

python -m runner.predict outputs/adam_bn/default-2d81ddf79636a93e seven.png
python -m runner.predict outputs/mnist/default-0123456789abcdef photos/*.jpg --invert --show
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.command.outcome import exit_code
from runner.command.terminal import out
from runner.errors import DataError, one_line
from runner.runs.folder import RunFolder
from runner.runs.listing import run_at

if TYPE_CHECKING:
    import numpy as np

    from runner.data.inputs import Inputs

CLASSES = 10  # the most probable ones are shown
BAR = 30  # characters
SHADES = " .:-=+*#%@"
MAX_PIXELS = 50_000_000  # of a picture, before it is unpacked


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 2 no such run, or a file that is no picture."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.predict", description="Says what a trained network sees in pictures."
    )
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("pictures", nargs="+", type=Path, help="PNG, JPEG or others")
    parser.add_argument("--invert", action="store_true", help="black becomes white")
    parser.add_argument("--show", action="store_true", help="print what the network sees")
    options = parser.parse_args(arguments)
    return exit_code(lambda: tell(options.run, options.pictures, options.invert, options.show))


def tell(run: Path, pictures: Sequence[Path], invert: bool, show: bool) -> None:
    """Prints what the network of a run predicts for each picture.

    Raises:
        DataError: The network takes no pictures or has no classes; or a file is no picture.
    """
    folder = RunFolder(run_at(run))
    from runner.training.trained import predict, trained_network  # imports torch

    network = trained_network(folder)
    inputs = network.inputs
    channels, height, width = inputs.shape
    if channels not in (1, 3) or 1 in (height, width):
        raise DataError(
            f"{folder}: takes {channels}×{height}×{width} numbers, no pictures; in Python: run.predict"
        )
    if inputs.class_names is None:
        raise DataError(f"{folder}: predicts no classes; in Python: run.predict")
    for path in pictures:
        pixels, how = as_pixels(path, inputs, invert)
        out.print(f"{path}: {how}")
        if show and channels == 1:
            out.print("\n".join(drawn(pixels[0], inputs)))
        for line in bars(predict(network, pixels[None])[0], inputs.class_names):
            out.print(line)
        if channels == 1 and not invert and is_negative(pixels, inputs):
            out.print(
                "Note: this picture is mostly bright, and those that the network knows are mostly dark;"
                " --invert turns it round"
                if inputs.mean < middle(inputs)
                else "Note: this picture is mostly dark, and those that the network knows are mostly bright;"
                " --invert turns it round"
            )


def as_pixels(path: Path, inputs: "Inputs", invert: bool) -> "tuple[np.ndarray, str]":
    """A picture as the network takes it, (channels, height, width), and what was done to it.

    What is transparent becomes white. Another size is resized, another form stretched.

    Raises:
        DataError: The file is no picture.
    """
    import warnings

    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    channels, height, width = inputs.shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures; see MAX_PIXELS
            with Image.open(path) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise ValueError(f"more than {MAX_PIXELS:,} pixels")
                found = f"{opened.width}×{opened.height} {opened.mode}"
                picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: no picture, or of a format that is not known") from None
    except Exception as error:  # Pillow raises many kinds for a damaged file
        raise DataError(f"{path}: no picture that can be read: {one_line(error)}") from None
    ground = Image.new("RGBA", picture.size, "white")
    plain = Image.alpha_composite(ground, picture).convert("L" if channels == 1 else "RGB")
    if plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.LANCZOS)
    bytes_ = np.asarray(plain, np.float32).reshape(height, width, channels).transpose(2, 0, 1)
    bytes_ = 255 - bytes_ if invert else bytes_
    pixels = inputs.black + bytes_ * ((inputs.white - inputs.black) / 255)
    wanted = f"{width}×{height} {'grey' if channels == 1 else 'RGB'}"
    return pixels.astype(np.float32), f"{found}, seen as {wanted}{' inverted' if invert else ''}"


def bars(probabilities: "np.ndarray", names: Sequence[str]) -> Iterator[str]:
    """A line for each of the most probable classes."""
    order = probabilities.argsort()[::-1][:CLASSES]
    longest = max(len(names[number]) for number in order)
    for number in order:
        share = float(probabilities[number])
        yield f"  {names[number]:<{longest}}  {share:7.2%}  {'█' * round(BAR * share)}".rstrip()


def drawn(pixels: "np.ndarray", inputs: "Inputs") -> Iterator[str]:
    """A grey picture (height, width) in characters, the brightest as @."""
    shares = ((pixels - inputs.black) / (inputs.white - inputs.black or 1)).clip(0, 1)
    for row in shares:
        yield "  " + "".join(2 * SHADES[round(float(share) * (len(SHADES) - 1))] for share in row)


def is_negative(pixels: "np.ndarray", inputs: "Inputs") -> bool:
    """Whether a picture is mostly bright where those of the data are mostly dark, or the other way round."""
    return bool((pixels.mean() > middle(inputs)) != (inputs.mean > middle(inputs)))


def middle(inputs: "Inputs") -> float:
    return (inputs.black + inputs.white) / 2


if __name__ == "__main__":
    sys.exit(main())
