"""An image becomes upright RGB by stated rules, or a reason why not."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from featbench.datasets import decode, digest
from featbench.errors import BrokenImageError


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def test_grey_palette_and_cmyk_become_rgb() -> None:
    grey = Image.new("L", (3, 2), 77)
    assert decode(encoded(grey)).getpixel((0, 0)) == (77, 77, 77)
    palette = Image.new("RGB", (3, 2), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert decode(encoded(palette)).getpixel((1, 1)) == (10, 200, 30)
    cmyk = decode(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"))
    assert cmyk.mode == "RGB"
    assert min(cmyk.getpixel((4, 4))) > 250


def test_transparency_lies_over_white() -> None:
    assert decode(encoded(Image.new("RGBA", (2, 2), (200, 0, 0, 0)))).getpixel((0, 0)) == (255,) * 3
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([9, 9, 9, 200, 100, 50])
    assert decode(encoded(palette, transparency=0)).getpixel((0, 0)) == (255,) * 3


def test_sixteen_bits_keep_their_high_byte() -> None:
    pixels = np.array([[0, 255, 256], [32768, 40000, 65535]], dtype=np.uint16)
    image = decode(encoded(Image.fromarray(pixels)))
    assert np.asarray(image)[..., 0].tolist() == [[0, 0, 1], [128, 156, 255]]


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (4, 2), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter: the camera's top left is the picture's top right
    turned = decode(encoded(image, exif=exif))
    assert turned.size == (2, 4)
    assert turned.getpixel((1, 0)) == (255, 255, 255)


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    assert decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])).getpixel(
        (0, 0)
    ) == (255, 0, 0)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_has_a_reason(content: bytes) -> None:
    with pytest.raises(BrokenImageError, match=r"\w"):
        decode(content)


def test_a_truncated_jpeg_is_broken_and_not_half_an_image() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), "JPEG")
    with pytest.raises(BrokenImageError, match="truncated"):
        decode(whole[: len(whole) // 2])


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    row = zlib.compress(bytes(1 + 20_000 // 8))
    size = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    parts = [(b"IHDR", size), (b"IDAT", row), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    ]
    with pytest.raises(BrokenImageError, match=r"400000000 pixels.*exceeds limit of 178956970"):
        decode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def test_the_digest_of_an_array_hangs_on_shape_and_dtype_too() -> None:
    pixels = np.arange(6, dtype=np.uint8)
    names = {digest(a) for a in (pixels, pixels.reshape(2, 3), pixels.astype(np.uint16))}
    assert len(names) == 3
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
