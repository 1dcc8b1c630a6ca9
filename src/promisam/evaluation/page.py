"""The report as one page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from promisam.evaluation import wording
from promisam.evaluation.definitions import SOURCES, definitions, versions, volume_unit
from promisam.evaluation.folders import Evaluation
from promisam.evaluation.histogram import histogram
from promisam.evaluation.overlay import PREDICTION_COLOUR, TRUTH_COLOUR, Panel
from promisam.evaluation.scores import CaseScore, label_title
from promisam.evaluation.style import CSS, SCRIPT
from promisam.evaluation.summary import Group

_MOST_HISTOGRAMS = 12  # labels with a histogram of their own; beyond, they would bury the rest


def page(evaluation: Evaluation, panels: Sequence[Panel]) -> str:
    """The whole page. Every text that comes from outside (names of files and labels, reasons) is escaped.

    Besides, a content security policy forbids the page any request, and any script but its own.
    """
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Evaluation of {escape(evaluation.settings.predictions.name)}</title><style>{CSS}</style></head><body>",
            _head(evaluation),
            _warnings(evaluation),
            _failures(evaluation),
            _foreign_labels(evaluation),
            _summary(evaluation),
            _histograms(evaluation),
            _overlays(panels),
            _cases(evaluation),
            _definitions(evaluation),
            f"<script>{SCRIPT}</script></body></html>\n",
        ]
    )


def _head(evaluation: Evaluation) -> str:
    settings, overall = evaluation.settings, evaluation.summary.overall
    headline = wording.mean("dice", overall.metrics["dice"])
    return (
        f"<header><h1>Segmentation evaluation</h1><p><strong>Mean Dice {headline}</strong> over "
        f"{overall.metrics['dice'].n} of {overall.rows} pairs of case and label, {evaluation.summary.cases} cases.</p>"
        f'<p class="soft">Predictions <code>{escape(str(settings.predictions))}</code>, truth '
        f"<code>{escape(str(settings.truth))}</code></p>{_made_by(evaluation)}</header>"
    )


def _made_by(evaluation: Evaluation) -> str:
    told = (", ".join(f"{name} <code>{escape(value)}</code>" for name, value in m.items() if value) for m in evaluation.made_by)
    return "".join(f'<p class="soft">Predictions made by {text}</p>' for text in told)


def _warnings(evaluation: Evaluation) -> str:
    if not evaluation.warnings:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in evaluation.warnings)
    return f'<section class="warnings"><h2>Warning</h2><ul>{items}</ul></section>'


def _failures(evaluation: Evaluation) -> str:
    if not evaluation.failures:
        return ""
    items = "".join(
        f"<li><strong>{escape(f.case)}</strong> ({escape(f.status)}): {escape(f.reason)}</li>" for f in evaluation.failures
    )
    return f'<section class="failures"><h2>Failures: {len(evaluation.failures)}</h2><ul>{items}</ul></section>'


def _foreign_labels(evaluation: Evaluation) -> str:
    if not evaluation.foreign_labels:
        return ""
    shown = ", ".join(f"{label} (in {cases} cases)" for label, cases in evaluation.foreign_labels.items())
    return f'<p class="note">Predictions hold labels that no truth has; they are not scored: {shown}.</p>'


def _summary(evaluation: Evaluation) -> str:
    metrics = [m for m in evaluation.summary.overall.metrics if m in ("dice", "hd95") or m.startswith("nsd")]
    counts = ("Pairs", "Failures", "Both empty", "Truth empty", "Prediction empty")
    heads = "".join(f"<th>{escape(t)}</th>" for t in (*counts, "Dice median", *(_heading(m, evaluation) for m in metrics)))
    rows = "".join(_summary_row(group, metrics) for group in evaluation.summary.groups)
    return (
        '<section><h2>Summary</h2><p class="soft">Mean [95 % interval] unless the heading says otherwise.</p>'
        f'<div class="scroll"><table><thead><tr><th class="text">Label</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{_details(evaluation)}</section>"
    )


def _summary_row(group: Group, metrics: Sequence[str]) -> str:
    counts = (group.rows, group.failures, group.both_empty, group.truth_empty, group.prediction_empty)
    values = [str(n) for n in counts]
    values.append(wording.number("dice", group.metrics["dice"].median))
    values += [wording.mean(m, group.metrics[m]) for m in metrics]
    return f'<tr><td class="text">{escape(group.title)}</td>{"".join(f"<td>{v}</td>" for v in values)}</tr>'


def _details(evaluation: Evaluation) -> str:
    """Every statistic of every metric, folded away."""
    heads = ("n", "Infinite", "Mean [95 % interval]", "SD", "Median", "Min", "Max")
    rows = []
    for group in evaluation.summary.groups:
        for metric, s in group.metrics.items():
            plain = [wording.number(metric, v) for v in (s.sd, s.median, s.minimum, s.maximum)]
            cells = "".join(f"<td>{v}</td>" for v in (s.n, s.infinite, wording.mean(metric, s), *plain))
            heading = escape(_heading(metric, evaluation))
            rows.append(f'<tr><td class="text">{escape(group.title)}</td><td class="text">{heading}</td>{cells}</tr>')
    head = "".join(f"<th>{h}</th>" for h in heads)
    return (
        '<details><summary>All metrics and statistics</summary><div class="scroll"><table><thead><tr>'
        f'<th class="text">Label</th><th class="text">Metric</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _histograms(evaluation: Evaluation) -> str:
    groups = evaluation.summary.groups if len(evaluation.summary.labels) <= _MOST_HISTOGRAMS else (evaluation.summary.overall,)
    drawings = []
    for group in groups:
        values = [s.dice for s in evaluation.scores if s.dice is not None and group.label in (None, s.label)]
        title = f"Dice of {group.title}"
        caption = f"<figcaption>{escape(title)}, {len(values)} values</figcaption>"
        drawings.append(f"<figure>{histogram(values, title, 'Dice')}{caption}</figure>")
    return f'<section><h2>Distribution of Dice</h2><div class="row">{"".join(drawings)}</div></section>'


def _overlays(panels: Sequence[Panel]) -> str:
    if not panels:
        return ""
    key = "".join(
        f'<span class="key" style="border-top:{width}px solid rgb{colour}"></span>{name}'
        for name, colour, width in (("Truth (wide line)", TRUTH_COLOUR, 6), ("Prediction (narrow line)", PREDICTION_COLOUR, 3))
    )
    figures = "".join(_figure(panel) for panel in panels)
    return f'<section><h2>Examples</h2><p>{key}</p><div class="row">{figures}</div></section>'


def _figure(panel: Panel) -> str:
    score = panel.score
    text = f"{panel.title}: {score.case}, {score.name}, Dice {wording.number('dice', score.dice)}"
    notes = [panel.note] if panel.note else []
    if score.status != "ok":
        notes.append(score.status.replace("_", " "))
    note = f" ({', '.join(notes)})" if notes else ""
    alternative = escape(f"Outlines of truth and prediction. {text}{note}")
    return f'<figure><img src="{panel.source}" alt="{alternative}"><figcaption>{escape(text + note)}</figcaption></figure>'


def _cases(evaluation: Evaluation) -> str:
    metrics = _columns(evaluation.scores[0], evaluation)
    texts = ("Case", "Label", "Status")
    heads = "".join(_sortable(t, "text") for t in texts) + "".join(
        _sortable(_heading(m, evaluation), "number") for m in metrics
    )
    rows = "".join(_case_row(score, evaluation) for score in evaluation.scores)
    return (
        '<section><h2>Cases</h2><p class="soft screen">Click a heading to sort.</p><div class="scroll"><table class="sortable">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _columns(score: CaseScore, evaluation: Evaluation) -> dict[str, float | None]:
    values = score.metrics(evaluation.summary.unit)
    del values["volume_difference_absolute"]  # beside the signed one it says nothing about a single case
    return values


def _sortable(title: str, kind: str) -> str:
    style = ' class="text"' if kind == "text" else ""
    return f'<th{style} data-kind="{kind}"><button type="button">{escape(title)}</button></th>'


def _case_row(score: CaseScore, evaluation: Evaluation) -> str:
    title = label_title(score.label, score.name)
    cells = [
        f'<td class="text" data-value="{escape(t)}">{escape(t)}</td>'
        for t in (score.case, title, score.status.replace("_", " "))
    ]
    for metric, value in _columns(score, evaluation).items():
        key = "" if value is None else str(value).replace("inf", "Infinity")
        cells.append(f'<td data-value="{key}">{wording.cell(metric, score, value)}</td>')
    return f"<tr{' class=failed' if score.failed else ''}>{''.join(cells)}</tr>"


def _definitions(evaluation: Evaluation) -> str:
    terms = definitions(evaluation.summary)
    terms["Settings"] = (
        f"labels {', '.join(map(str, evaluation.settings.labels)) or 'all of the truth'}; tolerances "
        f"{', '.join(f'{t:g} {evaluation.summary.unit}' for t in evaluation.settings.tolerances)}; "
        f"{'spacing of the files' if evaluation.settings.spacing_aware else 'spacing set aside, distances in samples'}"
    )
    terms["Versions"] = ", ".join(f"{name} {number}" for name, number in versions().items())
    items = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in terms.items())
    sources = "".join(f"<li>{escape(source)}</li>" for source in SOURCES)
    return f'<section><h2>Definitions</h2><dl>{items}</dl><ul class="soft">{sources}</ul></section>'


def _heading(metric: str, evaluation: Evaluation) -> str:
    units = {"hd95": evaluation.summary.unit, "volume_difference_percent": ""}
    unit = units.get(metric, volume_unit(evaluation.summary) if metric.startswith("volume") else "")
    return f"{wording.title(metric)} ({unit})" if unit else wording.title(metric)
