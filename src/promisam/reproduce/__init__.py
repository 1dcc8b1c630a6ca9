"""Published experiments, run again by whoever has their data: ours beside theirs, and what differs."""

from promisam.reproduce.catalogue import STUDIES, study
from promisam.reproduce.comparison import Comparison, comparison_record, comparison_text
from promisam.reproduce.few_shot import FewShotRequest, reproduce_few_shot
from promisam.reproduce.run import Request, reproduce
from promisam.reproduce.values import FewShotStudy, Part, Published, Study

__all__ = [
    "STUDIES",
    "Comparison",
    "FewShotRequest",
    "FewShotStudy",
    "Part",
    "Published",
    "Request",
    "Study",
    "comparison_record",
    "comparison_text",
    "reproduce",
    "reproduce_few_shot",
    "study",
]
