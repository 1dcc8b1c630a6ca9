"""Two decoders of one SAM in one graph: which of them answers depends on what each object is asked with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from promisam.export.packages import optional

_OWN, _BOXES = "own", "boxes"


def boxes_alone(own: Any, boxes: Any, prompts: Sequence[str], answers: Sequence[str]) -> Any:  # noqa: ANN401 - onnx is untyped
    """A graph in which `boxes` answers the objects that have a box and nothing else, `own` all others.

    A decoder that no object needs does not run. An object of `boxes` gets its first mask, in place of every mask of `own`.

    Args:
        own: of `graphs.DecoderGraph`.
        boxes: the same of what answers boxes alone; of equal sizes.
        prompts: names of points, labels, mask and switch.
        answers: names of masks and qualities.
    """
    onnx = optional("onnx")
    made = onnx.helper.make_node
    masks = own.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    nodes = [*_constants(onnx, masks), *_which(made, prompts)]
    for name, model, condition in ((_OWN, own, "any_other"), (_BOXES, boxes, "any_alone")):
        chosen = [f"{name}_{answer}" for answer in answers]
        then, other = _branch(onnx, model, name, answers), _nothing(onnx, name, answers)
        nodes.append(made("If", [condition], chosen, then_branch=then, else_branch=other))
    nodes.append(made("Slice", [f"{_BOXES}_{answers[0]}", "at_0", "at_1", "at_1"], ["box_masks"]))
    nodes.append(made("Slice", [f"{_BOXES}_{answers[1]}", "at_0", "at_1", "at_1"], ["box_qualities"]))
    nodes.append(made("Unsqueeze", ["alone", "axes_1_2_3"], ["alone_4"]))
    nodes.append(made("Unsqueeze", ["alone", "at_1"], ["alone_2"]))
    nodes.append(made("Where", ["alone_4", "box_masks", f"{_OWN}_{answers[0]}"], [answers[0]]))
    nodes.append(made("Where", ["alone_2", "box_qualities", f"{_OWN}_{answers[1]}"], [answers[1]]))
    graph = onnx.helper.make_graph(nodes, "decoder", list(own.graph.input), list(own.graph.output))
    model = onnx.helper.make_model(graph, opset_imports=_imports(own, boxes), ir_version=own.ir_version)
    onnx.checker.check_model(model)
    return model


def _imports(*models: Any) -> list[Any]:  # noqa: ANN401 - onnx is untyped
    """The operator sets of several models, each domain once."""
    return list({one.domain: one for model in models for one in model.opset_import}.values())


def _which(made: Any, prompts: Sequence[str]) -> list[Any]:  # noqa: ANN401 - onnx is untyped
    """Nodes that tell, for each object, whether it has a box and nothing else, and whether any object has, or has not."""
    _, labels, _, switch = prompts
    return [
        made("Greater", [labels, "label_1"], ["is_corner"]),
        made("GreaterOrEqual", [labels, "label_0"], ["is_said"]),
        made("Not", ["is_corner"], ["is_no_corner"]),
        made("And", ["is_said", "is_no_corner"], ["is_click"]),
        *(
            made(kind, [value], [out], **how)
            for kind, value, out, how in (
                ("Cast", "is_corner", "corners", {"to": 7}),
                ("Cast", "is_click", "clicks", {"to": 7}),
            )
        ),
        made("ReduceSum", ["corners", "at_1"], ["corners_of"], keepdims=0),
        made("ReduceSum", ["clicks", "at_1"], ["clicks_of"], keepdims=0),
        made("Greater", ["corners_of", "label_0"], ["has_box"]),
        made("Greater", ["clicks_of", "label_0"], ["has_click"]),
        made("Greater", [switch, "zero"], ["has_mask"]),
        made("Or", ["has_click", "has_mask"], ["has_more"]),
        made("Not", ["has_more"], ["has_no_more"]),
        made("And", ["has_box", "has_no_more"], ["alone"]),
        made("Not", ["alone"], ["other"]),
        *(
            node
            for name in ("alone", "other")
            for node in (
                made("Cast", [name], [f"{name}_number"], to=7),
                made("ReduceSum", [f"{name}_number"], [f"{name}_count"], keepdims=0),
                made("Greater", [f"{name}_count", "label_0"], [f"any_{name}"]),
            )
        ),
    ]


def _constants(onnx: Any, masks: int) -> list[Any]:  # noqa: ANN401 - onnx is untyped
    """Nodes with the numbers that the others need."""
    import numpy as np

    values = {
        "label_0": np.int64(0),
        "label_1": np.int64(1),
        "zero": np.float32(0),
        "at_0": np.array([0], np.int64),
        "at_1": np.array([1], np.int64),
        "axes_1_2_3": np.array([1, 2, 3], np.int64),
        f"no_{_OWN}_0": np.zeros((1, masks, 1, 1), np.float32),
        f"no_{_OWN}_1": np.zeros((1, masks), np.float32),
        f"no_{_BOXES}_0": np.zeros((1, 1, 1, 1), np.float32),
        f"no_{_BOXES}_1": np.zeros((1, 1), np.float32),
    }
    return [
        onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.asarray(value), name))
        for name, value in values.items()
    ]


def _branch(onnx: Any, model: Any, name: str, answers: Sequence[str]) -> Any:  # noqa: ANN401 - onnx is untyped
    """A decoder as it runs: its own names apart from those of the other, its inputs those of the whole graph."""
    graph = onnx.compose.add_prefix_graph(model.graph, f"{name}/", rename_inputs=False, rename_outputs=True)
    outputs = [_unshaped(onnx, f"{name}/{answer}", 4 if index == 0 else 2) for index, answer in enumerate(answers)]
    return onnx.helper.make_graph(list(graph.node), f"{name}_runs", [], outputs, list(graph.initializer))


def _nothing(onnx: Any, name: str, answers: Sequence[str]) -> Any:  # noqa: ANN401 - onnx is untyped
    """What stands for a decoder that is not needed: zeros that fit any number of objects."""
    nodes = [onnx.helper.make_node("Identity", [f"no_{name}_{i}"], [f"{name}/nothing_{i}"]) for i, _ in enumerate(answers)]
    outputs = [_unshaped(onnx, f"{name}/nothing_{index}", 4 if index == 0 else 2) for index, _ in enumerate(answers)]
    return onnx.helper.make_graph(nodes, f"{name}_rests", [], outputs)


def _unshaped(onnx: Any, name: str, axes: int) -> Any:  # noqa: ANN401 - onnx is untyped
    """A tensor of so many axes of any length."""
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * axes)
