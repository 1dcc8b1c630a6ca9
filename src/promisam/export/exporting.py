"""From weights or a run to ONNX files that hold all that is needed to use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from promisam import __version__, store
from promisam.core.errors import InvalidConfig, UnwritableOutput
from promisam.export.comparing import Compared, compare_network, compare_sam
from promisam.export.graphs import decoder_graph, encoder_graph, traced
from promisam.export.header import KEY, FrameRule, Header, Numbers, Weights
from promisam.export.packages import optional
from promisam.export.places import EXPORTED, check_name, checkpoint, network_of, parts_of
from promisam.export.quantising import in_eight_bits
from promisam.io.atomic import atomic_path, check_place
from promisam.io.digest import file_digest
from promisam.methods.interactive import Interactive
from promisam.methods.plain_sam import Config, PlainSam
from promisam.methods.unet import UNet
from promisam.sam.model import Sam, fingerprint
from promisam.training.checkpoint import read_header


@dataclass(frozen=True)
class Written:
    """What an export left.

    Attributes:
        files: by their part: encoder and decoder, or network.
        compared: how near onnxruntime's answers are to torch's, and how long both take, by part.
        header: what the files say of themselves, but for their role.
    """

    files: Mapping[str, Path]
    compared: Mapping[str, Compared]
    header: Header


def export(
    source: str | Path, out: str | Path, *, sam: store.Source | None = None, int8: bool = False, overwrite: bool = False
) -> Written:
    """Write a SAM's encoder and decoder, or a U-Net, as ONNX; every file is compared with torch before it appears.

    Args:
        source: a run folder or a checkpoint of a method in `EXPORTED`, or weights: a name or a file.
        out: NAME.onnx: a SAM becomes NAME.encoder.onnx and NAME.decoder.onnx.
        sam: where a run's SAM is if it moved, and with what options (`like`, `side`, `offline`) weights are opened.
        int8: whether linear layers hold their weights in eight bits.
        overwrite: whether files that are there are replaced.

    Raises:
        InvalidConfig: for a method that cannot be exported, saying which can.
        WeightsError: for damaged or unknown weights, and for a graph that does not answer as the network does.
        UnwritableOutput: for files that are there, or cannot be written.
        MissingExtra: without the extra onnx.
    """
    out = Path(out)
    check_name(out)
    for package in ("onnx", "onnxruntime"):
        optional(package)
    _check_places([*parts_of(out).values(), network_of(out)], overwrite=overwrite)
    method = opened(source, sam or store.Source(device="cpu"))
    numbers: Numbers = "int8" if int8 else "float32"
    graphs, header = _graphs(method, source, numbers)
    files = {part: network_of(out) if part == "network" else parts_of(out)[part] for part in graphs}
    for part, path in files.items():
        _check_places([path], overwrite=overwrite)
        graphs[part] = _labelled(graphs[part], replace(header, role=part))
    written = _written(graphs, files, header, method)
    for path in {*parts_of(out).values(), network_of(out)} - set(files.values()):
        path.unlink(missing_ok=True)  # of a former export of the other kind, which was to be overwritten
    return written


def opened(source: str | Path, sam: store.Source) -> PlainSam | Interactive | UNet:
    """The method to be exported, on the CPU.

    Raises:
        InvalidConfig: for one that cannot be exported.
        WeightsError: as of `promisam.store.load`.
    """
    sam = replace(sam, device="cpu")
    trained = checkpoint(source)
    if trained is None:
        if sam.weights is not None:
            raise InvalidConfig(
                f"the weights {source} with --weights {sam.weights}",
                expected="--weights beside a run, whose SAM they are",
                do="Leave it out.",
            )
        return PlainSam(replace(sam, weights=str(source)).sam()[0])
    _check_method(read_header(trained).method)
    found: Any = store.open_trained(trained, sam, {})
    return found  # type: ignore[no-any-return]


def _check_method(method: str) -> None:
    if method not in EXPORTED:
        raise InvalidConfig(
            f"a run of the method {method}, which cannot be exported",
            expected=f"weights of a SAM, or a run of {' or '.join(EXPORTED[1:])}",
            do="Use the run with torch: promisam segment IMAGE --method RUN.",
        )


def _check_places(paths: list[Path], *, overwrite: bool) -> None:
    for path in paths:
        check_place(path)
        if path.exists() and not overwrite:
            raise UnwritableOutput(
                f"the output {path}, which is already there", expected="a new file", do="Choose another, or pass --overwrite."
            )


def _graphs(method: PlainSam | Interactive | UNet, source: str | Path, numbers: Numbers) -> tuple[dict[Any, Any], Header]:
    """Graphs by part, and the header that they share."""
    made = in_eight_bits if numbers == "int8" else _unchanged
    if isinstance(method, UNet):
        if numbers == "int8":
            raise InvalidConfig(
                "a U-Net in int8, which would be as large as before",
                expected="a model with linear layers: convolutions stay in float32",
                do="Leave --int8 out.",
            )
        import torch

        example = {"image": torch.rand(2, method.channels, *method.input_shape)}
        network = method.network.cpu().eval().requires_grad_(False)
        named = Weights(Path(source).name, _digest(source), fingerprint(network))
        graph = traced(network, example, ("logits",), {"image": {0: "images"}, "logits": {0: "images"}})
        options = method.config.model_dump(mode="json")
        return {"network": graph}, Header("network", "unet", options, __version__, numbers, named, task=method.task)
    sam, options, task, name = _sam_of(method)
    traits = sam.traits
    digest = traits.sha256 if isinstance(method, PlainSam) else _digest(source)
    weights = Weights(traits.name, digest, fingerprint(sam))
    prompts, rule = tuple(sorted(traits.prompts)), FrameRule.of(sam)
    header = Header("encoder", name, options, __version__, numbers, weights, rule, prompts, traits.multimask, task)
    return {"encoder": made(encoder_graph(sam)), "decoder": decoder_graph(sam, made)}, header


def _sam_of(method: PlainSam | Interactive) -> tuple[Sam, dict[str, object], Any, str]:
    """The network, the options that `plain_sam` needs to answer as the method does, its task, its name."""
    if isinstance(method, Interactive):
        given = method.config.multimask if method.adapted.traits.multimask else "never"
        options = Config(window=method.config.window, multimask=given)
        return method.adapted.eval(), options.model_dump(mode="json"), method.task, "interactive"
    if not isinstance(method.sam, Sam):
        raise InvalidConfig("a SAM that was exported before", expected="weights or a run", do="Copy its files.")
    return method.sam.eval(), method.config.model_dump(mode="json"), None, "plain_sam"


def _unchanged(graph: Any) -> Any:  # noqa: ANN401 - onnx is untyped
    return graph


def _digest(source: str | Path) -> str:
    found = checkpoint(source)
    return "" if found is None else file_digest(found)


def _labelled(model: Any, header: Header) -> Any:  # noqa: ANN401 - onnx is untyped
    """With the header in its metadata."""
    model.producer_name, model.producer_version = "promisam", __version__
    model.graph.name = header.role
    optional("onnx").helper.set_model_props(model, {KEY: header.to_json()})
    return model


def _written(graphs: Mapping[str, Any], files: Mapping[str, Path], header: Header, method: Any) -> Written:  # noqa: ANN401
    """All files whole and compared with the method, or none of them new."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        partial = {part: stack.enter_context(atomic_path(path)) for part, path in files.items()}
        for part, path in partial.items():
            path.write_bytes(graphs[part].SerializeToString())
        if "network" in partial:
            compared = {"network": compare_network(method, partial["network"])}
        else:
            compared = compare_sam(_sam_of(method)[0], partial["encoder"], partial["decoder"])
        for part, one in compared.items():
            one.check(part, header.numbers)
    return Written(files, compared, header)


def described(written: Written) -> dict[str, Any]:
    """As JSON: files, sizes in bytes, differences and seconds."""
    parts = {
        part: {"file": str(path), "bytes": path.stat().st_size, **asdict(written.compared[part])}
        for part, path in written.files.items()
    }
    return {"method": written.header.method, "numbers": written.header.numbers, "weights": written.header.weights.name, **parts}
