"""Weights in eight bits: what shrinks most, and is quick on a CPU."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from promisam.export.packages import optional

OPERATORS = ("MatMul", "Gemm")
"""Convolutions stay in float32: in eight bits they are slower on a CPU (docs/export.md)."""


def in_eight_bits(model: Any, operators: tuple[str, ...] = OPERATORS) -> Any:  # noqa: ANN401 - onnx is untyped
    """A copy of a graph whose linear layers hold their weights as eight-bit integers, a scale for each output channel.

    The integers have no sign: sums of products with signed ones overflow on CPUs without VNNI instructions. Activations are
    quantised while the model runs, by the range that each has then; no images are needed to find one.
    """
    onnx, quantisation = optional("onnx"), optional("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, before)
        silent = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            quantisation.quantize_dynamic(
                before,
                after,
                op_types_to_quantize=list(operators),
                per_channel=True,
                reduce_range=False,
                weight_type=quantisation.QuantType.QUInt8,
                extra_options={"MatMulConstBOnly": True},
            )
        finally:
            logging.disable(silent)
        return onnx.load(after)
