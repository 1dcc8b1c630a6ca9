"""Whether predictions that are to be scored are of images that their method has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from promisam.core.errors import InvalidConfig


class Training(Enum):
    """What to do with cases that the method was trained on."""

    REFUSE = "refuse"
    ALLOW = "allow"
    SKIP = "skip"

    @classmethod
    def asked(cls, *, allow: bool, skip: bool) -> Training:
        """From two options.

        Raises:
            InvalidConfig: for both.
        """
        if allow and skip:
            raise InvalidConfig(
                "--allow-training-cases and --skip-training-cases", expected="one of them at most", do="Leave one out."
            )
        return cls.ALLOW if allow else cls.SKIP if skip else cls.REFUSE


@dataclass(frozen=True)
class Background:
    """What is known of predictions before they are scored.

    Attributes:
        warnings: what speaks against the result.
        left_out: predictions not to be scored.
        made_by: what made them, by the head of each report.
    """

    warnings: tuple[str, ...]
    left_out: frozenset[Path]
    made_by: tuple[Mapping[str, str], ...]


def learned_from(predictions: Path, truth: Path, training: Training) -> Background:
    """What the reports of `promisam predict` in the folder of the predictions say of those that have a truth.

    Without reports nothing is known and nothing refused.

    Raises:
        InvalidConfig: for predictions of images that the method was trained on, unless they are allowed or left out.
        UnreadableFile: for a damaged report, and for missing files.
    """
    from promisam.evaluation.pairing import find_pairs
    from promisam.runs.predictions import told_of
    from promisam.runs.seen import some

    masks = [pair.prediction for pair in find_pairs(predictions, truth).pairs if pair.prediction is not None]
    told = told_of(masks)
    trained = told.trained()
    names = some([mask.name for mask in trained])
    if trained and training is Training.REFUSE:
        raise InvalidConfig(
            f"{len(trained)} of {len(masks)} predictions of images that the method was trained on: {names}",
            expected="images that it has not seen",
            do="Leave them out with --skip-training-cases, or score them with --allow-training-cases if that is meant.",
        )
    warnings = []
    if trained and training is Training.ALLOW:
        warnings.append(
            f"the method was trained on {len(trained)} of these {len(masks)} cases ({names}): "
            "their scores say little about new ones"
        )
    left_out = frozenset(trained) if training is Training.SKIP else frozenset[Path]()
    if left_out:
        warnings.append(f"{len(left_out)} of {len(masks)} cases were left out, since the method was trained on them")
    validated = [mask for mask in told.validated() if mask not in trained]
    if validated:
        warnings.append(
            f"the method's checkpoint was chosen by its scores on {len(validated)} of {len(masks)} cases "
            f"({some([mask.name for mask in validated])}): expect less on new ones"
        )
    return Background(tuple(warnings), left_out, tuple(asdict(maker) for maker in told.makers))
