"""From images to a choice among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from promisam.core.errors import InvalidConfig
from promisam.io import Input
from promisam.selection.choose import Request, Selection, choose
from promisam.selection.features import Encoder, Features, Report, encode, together


@dataclass(frozen=True)
class Selected:
    """A choice among the images that could be read.

    Attributes:
        selection: the choice.
        failures: why others could not be read, by name.
    """

    selection: Selection
    failures: Mapping[str, str]


def select(
    inputs: Mapping[str, Input],
    request: Request,
    encoder: Encoder,
    features: Features = "both",
    report: Report = lambda _done, _total: None,
) -> Selected:
    """Choose which images to annotate.

    Args:
        inputs: images by name, as `find_inputs` finds them.
        request: how many, and the rules.
        encoder: what compares them.
        features: how: "pooled" by what is on an image, "grid" by what is where, "both" by both alike.
        report: called with images encoded and their number.

    Raises:
        InvalidConfig: for a request that the images cannot meet, before any work as far as it can be known.
        PromisamError: for an image that is to be chosen in any case and cannot be read.
    """
    request.check(inputs)
    encoded = encode(inputs, encoder, request.wanted, report)
    names = list(encoded.means)
    able = [name for name in names if name not in request.exclude]
    if request.k > len(able):
        name, reason = next(iter(encoded.failures.items()))
        raise InvalidConfig(
            f"{request.k} images to choose out of {len(able)} that can be read (not {name}: {reason})",
            expected=f"at most {len(able)}",
            do="Choose fewer with -k, or put the others right.",
        )
    asked = Request(
        request.k, request.include, tuple(name for name in request.exclude if name in names), request.former, request.seed
    )
    found = choose(names, together([encoded.means[name] for name in names], features), asked, encoded.digests)
    return Selected(found, encoded.failures)
