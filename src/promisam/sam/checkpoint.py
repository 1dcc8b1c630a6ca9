"""Weight files: read without running any code in them, fit strictly, convert once to safetensors."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from promisam.core.errors import WeightsError
from promisam.sam.architecture import build, faults_of, infer, seems
from promisam.sam.attention import resize_table
from promisam.sam.disk import tensor_file
from promisam.sam.model import Sam, Traits
from promisam.sam.names import is_hugging_face, to_meta

# Parts that released files carry and no SAM uses: TinyViT's classifier, derived tables, Meta's constants.
_UNUSED = ("image_encoder.norm_head.", "image_encoder.head.", "pixel_mean", "pixel_std")
# What PyTorch's restricted unpickler says of a pickle that names classes or functions, and not of any other trouble.
_CODE = ("GLOBAL ", "add_safe_globals` but got", "add_safe_globals`, but got")
# Plain numbers that trainers keep beside weights, such as a best loss: NumPy's, under its old and its new name.
_SCALAR = np.float64(0).__reduce__()[0]
_NUMBERS: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float32", "float64", "int64")),
]
_LONGEST = 160  # characters of a library's reason in a message
_WRAPPERS = ("model", "state_dict", "model_state_dict")


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or PyTorch file under Meta's names; what a PyTorch file holds beside them is left out.

    Where no tensors but state dicts lie in it, or lists of them, names begin with theirs: `decoder_dict.head.0.weight`.

    Raises:
        WeightsError: for anything else: damaged, carrying code, or not weights.
    """
    state = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    for wrapper in _WRAPPERS:
        inner = state.get(wrapper)
        if isinstance(inner, Mapping):
            state = dict(inner)
    tensors = {str(name).removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
    if not any(value.ndim for value in tensors.values()):  # several state dicts side by side, as ProMISe-3D is released
        tensors = dict(_nested(state))
    if is_hugging_face(tensors):
        tensors = to_meta(tensors)
    if not tensors:
        raise WeightsError(f"{path.name} without any tensor", expected="a state dict", do="Export the model's weights again.")
    return {name: value for name, value in tensors.items() if not _unused(name)}


def write_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Store tensors as safetensors: written beside, flushed, renamed.

    Raises:
        UnwritableOutput: when the operating system refuses; an older file is then left as it was.
    """
    with tensor_file(path) as partial:
        save_file({name: value.contiguous() for name, value in state.items()}, partial)


def sam_from_state(state: Mapping[str, Tensor], traits: Traits | None = None, side: int | None = None) -> Sam:
    """The SAM that these tensors belong to, in evaluation mode; `side` asks for another frame than they were trained on.

    The SAM takes the tensors over: they are not copied.

    Raises:
        WeightsError: when tensors are missing, superfluous or of the wrong shape, saying which.
        InvalidConfig: for an impossible frame.
    """
    shape = infer(state)
    if side is not None and side != shape.image.side:
        shape = shape.with_side(side)
    with torch.device("meta"):  # no time for random values that are overwritten
        sam = build(shape, traits)
    fit(sam, resized(state, sam))
    return sam.eval()


def fit(module: torch.nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put tensors into a module: every one in its place, none left over.

    Raises:
        WeightsError: with the missing, unexpected and reshaped names.
    """
    check_fit(module, state)
    own = module.state_dict()
    absent = {name: torch.zeros((), dtype=torch.int64) for name in own if name not in state}
    values = {name: value.to(own[name].dtype) for name, value in state.items()}
    module.load_state_dict({**values, **absent}, assign=True)


def check_fit(module: torch.nn.Module, state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not exactly a module's.

    Raises:
        WeightsError: with the missing, unexpected and reshaped names.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    reshaped = [
        f"{name} ({list(value.shape)} for {list(own[name].shape)})"
        for name, value in state.items()
        if name in own and own[name].shape != value.shape
    ]
    faults = faults_of({"missing": missing, "unexpected": unexpected, "of another shape": reshaped})
    if faults:
        raise WeightsError(
            f"weights with {'; '.join(faults)}, which seem to be {seems(state)}",
            expected=f"the {len(own)} tensors of the model",
            do="Check that the file is complete and made for this model.",
        )


def resized(state: Mapping[str, Tensor], sam: Sam) -> dict[str, Tensor]:
    """The tensors with the ViT's position tables resized to the model's frame: bilinear, and linear along relative offsets.

    Meta's encoder does the latter at every call, so a file whose global tables are of another length means the same.
    """
    own = sam.state_dict()
    out = dict(state)
    for name, value in state.items():
        if name not in own or value.shape == own[name].shape:
            continue
        if name == "image_encoder.pos_embed":
            size = own[name].shape[1:3]
            out[name] = F.interpolate(value.permute(0, 3, 1, 2), size, mode="bilinear").permute(0, 2, 3, 1)
        elif ".attn.rel_pos_" in name:
            out[name] = resize_table(value, own[name].shape[0])
    return out


def _nested(values: object, start: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(values, Tensor) and values.is_floating_point():
        yield start.removesuffix("."), values
    elif isinstance(values, Mapping):
        for name, value in values.items():
            yield from _nested(value, f"{start}{name}.")
    elif isinstance(values, list | tuple):
        for number, value in enumerate(values):
            yield from _nested(value, f"{start}{number}.")


def _unused(name: str) -> bool:
    return name.startswith(_UNUSED) or name.endswith(("attention_bias_idxs", ".attn.ab"))


def _is_safetensors(path: Path) -> bool:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for whoever writes to it
            raise OSError(None, "no file")
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WeightsError(
            f"the weights {path} ({error.strerror})", expected="a file that can be read", do="Check the path."
        ) from None
    return path.suffix == ".safetensors" or head[8:9] == b"{"


def _read_safetensors(path: Path) -> dict[str, object]:
    try:
        return dict(load_file(path))
    except Exception as error:  # the reader raises whatever it meets in damaged data
        raise _damaged(path, str(error) or type(error).__name__) from None


def _read_torch(path: Path) -> dict[str, object]:
    try:
        with torch.serialization.safe_globals(_NUMBERS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd files; what matters is raised
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if any(sign in str(error) for sign in _CODE):
            raise WeightsError(
                f"{path.name}, which holds Python objects that would run code when opened",
                expected="nothing but tensors",
                do="Do not open it elsewhere unless you trust its origin; ask for a state dict or safetensors.",
            ) from None
        raise _damaged(path, "not a PyTorch file") from None
    except Exception as error:  # the reader raises whatever it meets in damaged data
        raise _damaged(path, str(error) or type(error).__name__) from None
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path.name} with a {type(state).__name__}", expected="a state dict", do="Save model.state_dict().")
    return dict(state)


def _damaged(path: Path, reason: str) -> WeightsError:
    first = reason.strip().splitlines()[0] if reason.strip() else "no reason given"
    if len(first) > _LONGEST:
        first = f"{first[:_LONGEST].rsplit(maxsplit=1)[0].rstrip(' ,;:.([')}..."  # at the end of a word
    return WeightsError(
        f"{path.name}, which is damaged or not a weight file ({first})",
        expected="a complete .safetensors, .pth or .pt file",
        do="Fetch it again and compare its SHA-256 with the published one.",
    )
