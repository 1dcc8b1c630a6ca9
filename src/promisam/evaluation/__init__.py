"""Metrics, per-case scores, summaries and the report of an evaluation."""

from promisam.evaluation.benchmark import benchmark
from promisam.evaluation.benchmark_record import benchmark_csv, benchmark_record, check_benchmark_output, write_benchmark
from promisam.evaluation.benchmark_table import Benchmark, Row, Trial
from promisam.evaluation.case import evaluate_case
from promisam.evaluation.click_protocols import PUBLISHED, STRICT, ClickProtocol
from promisam.evaluation.folders import Evaluation, Failure, Settings, evaluate_folders
from promisam.evaluation.metrics import dice, iou
from promisam.evaluation.protocols import Protocol
from promisam.evaluation.report import check_report, summary_record, write_report
from promisam.evaluation.scores import DEFAULT_TOLERANCE, CaseScore, Status
from promisam.evaluation.summary import Group, Statistic, Summary, summarise
from promisam.evaluation.surface import SurfaceDistances, surface_distances

__all__ = [
    "DEFAULT_TOLERANCE",
    "PUBLISHED",
    "STRICT",
    "Benchmark",
    "CaseScore",
    "ClickProtocol",
    "Evaluation",
    "Failure",
    "Group",
    "Protocol",
    "Row",
    "Settings",
    "Statistic",
    "Status",
    "Summary",
    "SurfaceDistances",
    "Trial",
    "benchmark",
    "benchmark_csv",
    "benchmark_record",
    "check_benchmark_output",
    "check_report",
    "dice",
    "evaluate_case",
    "evaluate_folders",
    "iou",
    "summarise",
    "summary_record",
    "surface_distances",
    "write_benchmark",
    "write_report",
]
