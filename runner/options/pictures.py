"""What the pictures of a run are drawn with: quick enough for each run of a large sweep, by Pillow alone."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runner.foreign import visible
from runner.options.architectures import Shape

TILE = 84  # pixels that an image is enlarged to, about
GAP, LINE = 8, 15
INK, PAPER, GRID = (31, 35, 40), (255, 255, 255), (208, 215, 222)
SHADE = (0, 114, 178)
FONT = ImageFont.load_default(11)
NUMBERED = 20  # classes up to which the cells of a confusion matrix show their counts


def are_pictures(shape: Shape) -> bool:
    """Whether inputs of this shape can be looked at: grey or coloured, and more than a line."""
    channels, height, width = shape
    return channels in (1, 3) and height > 1 and width > 1


def gallery(images: np.ndarray, captions: Sequence[tuple[str, ...]]) -> Image.Image:
    """Images (n, channels, height, width), four in a row, each with lines of text below it."""
    tiles = tiles_of(images, float(images.min()), float(images.max()))
    lines = max(map(len, captions))
    width = max(tiles[0].width, 120) + GAP
    height = tiles[0].height + lines * LINE + GAP
    columns = min(4, len(tiles))
    page, draw = paper(columns * width + GAP, -(-len(tiles) // columns) * height + GAP)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        x, y = GAP + number % columns * width, GAP + number // columns * height
        page.paste(tile, (x, y))
        for line, text in enumerate(caption):
            write(draw, x, y + tile.height + 1 + line * LINE, text, width - GAP)
    return page


def drawn_rows(rows: Mapping[str, np.ndarray], ends: tuple[float, float]) -> Image.Image:
    """Rows of images (n, channels, height, width) with their names; `ends` are black and white."""
    tiles = {name: tiles_of(images, *ends) for name, images in rows.items()}
    first = next(iter(tiles.values()))
    margin = 70
    width, height = first[0].width + 4, first[0].height + 4
    page, draw = paper(margin + len(first) * width + GAP, len(tiles) * height + 2 * GAP)
    for row, (name, images) in enumerate(tiles.items()):
        y = GAP + row * height
        write(draw, GAP, y + height // 2 - LINE // 2, name, margin - GAP)
        for column, tile in enumerate(images):
            page.paste(tile, (margin + column * width, y))
    return page


def drawn_matrix(counts: np.ndarray, names: Sequence[str]) -> Image.Image:
    """A confusion matrix (classes, classes): a row for each class, a column for what it was taken for.

    A cell is as dark as the share of the row that it holds.
    """
    classes = len(names)
    cell = 30 if classes <= NUMBERED else 12
    shown = [fitted(name, 110) for name in names]
    margin = max(40, int(max(FONT.getlength(name) for name in shown)) + 2 * GAP + LINE)
    page, draw = paper(margin + classes * cell + GAP, margin + classes * cell + GAP)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for row, name in enumerate(shown):
        place = margin + row * cell
        write(draw, LINE + GAP, place + (cell - 13) // 2, name, margin)
        turned(page, place + (cell - 13) // 2, LINE + GAP, margin - LINE - 2 * GAP, name)
        for column in range(classes):
            x, y, share = margin + column * cell, place, shares[row, column]
            draw.rectangle((x, y, x + cell, y + cell), fill=shaded(share), outline=GRID)
            if classes <= NUMBERED and counts[row, column]:
                color = PAPER if share > 0.5 else INK
                center = (x + cell / 2, y + cell / 2)
                draw.text(center, str(counts[row, column]), color, FONT, anchor="mm")
    write(draw, margin, 2, "taken for", page.width - margin)
    turned(page, 2, margin, classes * cell, "class")
    return page


def drawn_points(targets: np.ndarray, predictions: np.ndarray) -> Image.Image:
    """A point for each example, its target to the right and its prediction upwards; the line is equality."""
    size, margin = 320, 60
    page, draw = paper(size + margin + GAP, size + margin + GAP)
    finite = predictions[np.isfinite(predictions)]
    low, high = (
        float(f([f(targets), f(finite)])) if finite.size else float(f(targets))
        for f in (np.min, np.max)
    )
    scale = (size - 2 * GAP) / (high - low or 1.0)
    draw.rectangle((margin, GAP, margin + size, GAP + size), outline=GRID)
    draw.line((margin, GAP + size, margin + size, GAP), fill=GRID)
    for target, prediction in zip(targets.tolist(), predictions.tolist(), strict=True):
        if np.isfinite(prediction):
            x = margin + GAP + (target - low) * scale
            y = size - (prediction - low) * scale
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=SHADE)
    write(draw, margin, GAP + size + 4, f"{low:.4g}", size)
    draw.text((margin + size, GAP + size + 4), f"{high:.4g}", INK, FONT, anchor="ra")
    draw.text((margin + size / 2, GAP + size + 4), "target", INK, FONT, anchor="ma")
    draw.text((margin - 4, GAP + size), f"{low:.4g}", INK, FONT, anchor="rd")
    draw.text((margin - 4, GAP), f"{high:.4g}", INK, FONT, anchor="ra")
    turned(page, 4, GAP, size, "prediction")
    return page


def tiles_of(images: np.ndarray, low: float, high: float) -> list[Image.Image]:
    """Images (n, channels, height, width) with values from low, black, to high, white; enlarged."""
    shares = np.nan_to_num((images.astype(np.float32) - low) / ((high - low) or 1.0))
    pixels = (shares.clip(0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    pixels = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))
    factor = max(1, TILE // max(pixels.shape[1:3]))
    return [
        Image.fromarray(image).resize(
            (image.shape[1] * factor, image.shape[0] * factor), Image.Resampling.NEAREST
        )
        for image in pixels
    ]


def paper(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    page = Image.new("RGB", (width, height), PAPER)
    return page, ImageDraw.Draw(page)


def write(draw: ImageDraw.ImageDraw, x: float, y: float, text: str, room: float) -> None:
    """One line of foreign text, cut off where it has no more room."""
    draw.text((x, y), fitted(text, room), INK, FONT)


def turned(page: Image.Image, x: int, y: int, room: int, text: str) -> None:
    """A line that is read upwards, ending at the top of the room or beginning at its foot."""
    text = fitted(text, room)
    line, draw = paper(max(1, int(FONT.getlength(text)) + 1), LINE)
    draw.text((0, 0), text, INK, FONT)
    upright = line.transpose(Image.Transpose.ROTATE_90)
    page.paste(upright, (x, y + room - upright.height))


def fitted(text: str, room: float) -> str:
    shown = visible(text)
    while len(shown) > 1 and FONT.getlength(shown) > room:
        shown = shown[:-2] + "…"
    return shown


def shaded(share: float) -> tuple[int, int, int]:
    """From paper to full colour."""
    r, g, b = (round(p + (s - p) * float(share)) for p, s in zip(PAPER, SHADE, strict=True))
    return r, g, b
