"""One small, sound file of every kind that promisam reads, for tests that damage them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813 - its usual name
from PIL import Image as Pillow

from dicom_maker import make_series

SHAPE = (4, 6, 5)  # z, y, x


def volume() -> np.ndarray:
    """Values of a CT."""
    return np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)


def write_images(folder: Path) -> list[Path]:
    """Volumes and pictures in every format; the DICOM files are slices of one series."""
    folder.mkdir(parents=True, exist_ok=True)
    _volumes(folder)
    _pictures(folder)
    for path in make_series(folder / "series", volume()):
        path.rename(folder / f"{path.name}.dcm")
    (folder / "series").rmdir()
    return sorted(folder.iterdir())


def _volumes(folder: Path) -> None:
    image = sitk.GetImageFromArray(volume())
    image.SetSpacing((0.7, 0.9, 2.5))
    image.SetOrigin((3.0, -4.0, 5.0))
    for name, squeezed in (("a.nrrd", False), ("b.nrrd", True), ("a.mha", False), ("b.mha", True)):
        sitk.WriteImage(image, folder / name, useCompression=squeezed)
    affine = np.diag([-0.7, -0.9, 2.5, 1.0])
    for name in ("a.nii", "b.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(volume().T, affine), folder / name)
    nibabel.save(nibabel.Nifti2Image(volume().T.astype(np.float32), affine), folder / "c.nii")
    scaled = nibabel.Nifti1Image(volume().T, affine)
    scaled.header.set_slope_inter(0.5, 3)
    nibabel.save(scaled, folder / "d.nii")


def _pictures(folder: Path) -> None:
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 255, (11, 7), dtype=np.uint8)
    colour = rng.integers(0, 255, (11, 7, 3), dtype=np.uint8)
    for suffix in ("png", "jpg", "tif", "bmp"):
        Pillow.fromarray(grey).save(folder / f"grey.{suffix}")
        Pillow.fromarray(colour).save(folder / f"colour.{suffix}")
    Pillow.fromarray(rng.integers(0, 60000, (11, 7), dtype=np.uint16)).save(folder / "deep.png")
    Pillow.fromarray(grey % 4).convert("P").save(folder / "palette.png")
    Pillow.fromarray(colour).save(folder / "packed.tif", compression="tiff_lzw")
    pages = [Pillow.fromarray(grey), Pillow.fromarray(grey[::-1].copy())]
    pages[0].save(folder / "stack.tif", save_all=True, append_images=pages[1:])


def bomb_nifti(shape: tuple[int, int, int], behind: int, *, squeezed: bool = True) -> bytes:
    """A NIfTI whose header announces this many bytes, with `behind` zeros behind it."""
    header = nibabel.Nifti2Header()
    header.set_data_dtype(np.uint8)
    header["dim"][:4] = (3, *shape)
    header["pixdim"][:4] = 1
    header["vox_offset"] = 544
    plain = header.binaryblock + bytes(4)
    if not squeezed:
        return plain + bytes(behind)
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as file:
        file.write(plain)
        for _ in range(behind >> 20):
            file.write(bytes(1 << 20))
    return stream.getvalue()


def prompts_json() -> dict[str, object]:
    """Every part of a prompt file, for an image of `SHAPE`."""
    objects = [
        {"label": "liver", "box": [1, 1, 0, 3, 4, 2], "points": [{"at": [2, 2, 1]}, {"at": [4, 5, 3], "positive": False}]},
        {"label": "lesion", "mask": "mask.nii.gz"},
    ]
    return {"coordinates": "voxel", "objects": objects}


def as_text(value: Mapping[str, object] | object) -> str:
    """JSON that may hold NaN and infinities."""
    return json.dumps(value, ensure_ascii=True)


def described(folder: Path) -> dict[str, Path]:
    """The files that describe a run, its predictions, data sets, weights and a choice, by name; every case has its files."""
    for part in ("images", "masks"):
        (folder / "set" / part).mkdir(parents=True)
        for name in "abc":
            Pillow.fromarray(np.eye(9, dtype=np.uint8) * 255).save(folder / "set" / part / f"{name}.png")
    listed = [{"image": f"images/{name}.png", "label": f"masks/{name}.png", "group": name, "fold": 0} for name in "abc"]
    stamp = {"sha256": "0" * 64, "size": 12, "mtime_ns": 1}
    row = {
        "image": "a.png",
        "output": "out/a.png",
        "status": "done",
        "seconds": 0.5,
        "flags": ["small"],
        "measures": {"area": 1},
    }
    weights = {**stamp, "name": "mine", "file": "m.pth", "origin": "x", "date": "d", "like": None, "converted": stamp}
    texts: dict[str, tuple[str, object]] = {
        "run.json": ("run", _run()),
        "split.json": ("set", {"train": ["a"], "val": ["b"], "test": ["c"]}),
        "predictions.json": ("predictions", {"checkpoint": {"method": "unet", "file": "m"}, "predictions": [row, row]}),
        "list.json": ("set", {"labels": {"0": "background", "1": "liver"}, "channel_names": {"0": "CT"}, "training": listed}),
        "record.json": ("mine", weights),
    }  # fmt: skip
    tables = {
        "cases.csv": "image,mask,group,split,id\nimages/a.png,masks/a.png,p,train,a\nimages/b.png,masks/b.png,q,test,b\n",
        "chosen.csv": "rank,name,image\n1,a,images/a.png\n2,b,images/b.png\n",
        "split.csv": "name,split\na,train\nb,val\nc,test\n",
    }
    found = {}
    for name, (place, content) in texts.items():
        (folder / place).mkdir(exist_ok=True)
        found[name] = folder / place / name
        found[name].write_text(as_text(content))
    for name, text in tables.items():
        found[name] = folder / "set" / name
        found[name].write_text(text)
    return found


def _run() -> dict[str, object]:
    data = {
        "path": "/data", "layout": "folders", "labels": [1], "group_by": "", "classes": ["object"], "how": "at random",
        "split": {"train": ["a"], "val": ["b"], "test": ["c"]}, "warnings": [], "content": {"a": "0f"}, "images": {"a": "1f"},
        "groups": {"a": "p"}, "channels": [], "unlabelled": {}, "unread": {"b": "gone"},
    }  # fmt: skip
    return {
        "format": 1, "command": ["fit"], "method": "unet", "options": {"side": 32}, "training": {"epochs": 1}, "data": data,
        "task": {"classes": ["object"], "ndim": 2}, "backbone": None, "device": "cpu", "processes": 1,
        "versions": {"torch": "2"}, "commit": None, "result": {"dice": 0.5},
    }  # fmt: skip
