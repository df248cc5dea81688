"""Pictures as people have them: every form of the same picture is the same reference; what is none is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from omnihuman.conditions.pictures import from_pixels, to_reference

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "form",
    [
        Image.fromarray(IMAGE), IMAGE, IMAGE[None], IMAGE / 255.0, torch.from_numpy(IMAGE), torch.from_numpy(IMAGE).permute(2, 0, 1),
        torch.from_numpy(IMAGE).permute(2, 0, 1)[None] / 255, [Image.fromarray(IMAGE)], [IMAGE],
    ],
)  # fmt: skip
def test_every_form_of_a_picture_is_the_same_reference(form):
    assert torch.equal(to_reference(form), torch.from_numpy(IMAGE)[None])


def test_a_batch_keeps_its_order_and_a_turned_picture_is_turned_back():
    turned = Image.fromarray(IMAGE)
    exif = turned.getexif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    turned.info["exif"] = exif.tobytes()
    assert torch.equal(to_reference(turned)[0], torch.from_numpy(np.rot90(IMAGE, -1).copy()))
    assert torch.equal(to_reference([IMAGE, 255 - IMAGE])[1], torch.from_numpy(255 - IMAGE))
    clear = Image.fromarray(np.dstack([IMAGE, np.zeros((32, 48), np.uint8)]))
    assert (to_reference(clear) == 255).all()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (IMAGE[..., :2], "a picture is"),
        (IMAGE[:0], "has none"),
        (IMAGE.astype(np.float32), "float in"),
        (IMAGE.astype(np.int64), "uint8"),
        ([IMAGE, IMAGE[:16]], "one size"),
        ([], "none"),
    ],
)
def test_what_is_no_picture_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        to_reference(bad)


def test_outputs_are_the_same_clip():
    pixels = torch.rand(2, 3, 5, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    frames = from_pixels(pixels, "frames")
    assert frames.shape == (2, 5, 16, 16, 3) and frames.dtype == torch.uint8
    array, tensor, pictures = (from_pixels(pixels, kind) for kind in ("np", "pt", "pil"))
    assert np.array_equal(array, tensor.permute(0, 1, 3, 4, 2).numpy()) and np.allclose(
        array, (pixels.permute(0, 2, 3, 4, 1).numpy() + 1) / 2
    )
    assert [len(clip) for clip in pictures] == [5, 5]
    assert np.abs(np.asarray(pictures[1][4]).astype(int) - frames[1, 4].numpy()).max() <= 1
