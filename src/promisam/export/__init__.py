"""Methods as ONNX files: written, compared with torch, and run by onnxruntime."""

from promisam.export.exporting import EXPORTED, Written, described, export
from promisam.export.loading import ExportedSam, kept, load
from promisam.export.places import is_exported

__all__ = ["EXPORTED", "ExportedSam", "Written", "described", "export", "is_exported", "kept", "load"]
