"""Compare: what a window's counts say beside the baseline's, as a report with a verdict for each feature and segment.

An alarm takes three things: enough rows, a distance beyond its threshold, and a probability, corrected for all that the
report holds, that noise alone makes as much. The first two alone would page people for small windows, the last two for
large ones in which every difference is sure and none matters.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ml_pipelines.monitoring import distances
from ml_pipelines.monitoring.attribution import NDCG, Attributed
from ml_pipelines.monitoring.baseline import Baseline, Distribution
from ml_pipelines.monitoring.counting import WHOLE, Counts, Window
from ml_pipelines.monitoring.performance import Decay
from ml_pipelines.monitoring.report import (
    COLUMN,
    CONSTANT,
    MISSING,
    OUTSIDE,
    ROWS,
    UNKNOWN,
    WINDOW,
    Finding,
    Kind,
    Report,
    Settings,
    Verdict,
    holm,
)

SILENCE = "silence_ms"


def compare(
    baseline: Baseline,
    window: Window,
    settings: Settings | None = None,
    decays: Sequence[Decay] = (),
    model: str | None = None,
    counts: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
    attributed: Attributed | None = None,
) -> Report:
    """The report of a window. decays: what its labels say of the model's performance (`performance.decays`);
    attributed: what its scores come from (`attribution.compared`).

    counts and notes become part of the report. Raises ValueError for a metric that there isn't.
    """
    settings = settings or Settings()
    if settings.metric not in distances.METRICS:
        raise ValueError(f"metric `{settings.metric}`: there are {', '.join(distances.METRICS)}")
    found = [_rows(window)]
    if window.rows:
        found += _columns(window)
        for segment in sorted(window.counts):
            for name in baseline.features:
                if seen := window.counts[segment].get(name):
                    found += _looked_at(_before(baseline, segment, name), seen, segment, settings)
    found += [_decayed(one, settings) for one in decays]
    if attributed is not None:
        found.append(_attributed(attributed, settings))
    return Report(
        task=baseline.task,
        rows=window.rows,
        settings=settings,
        findings=tuple(_judged(found, settings)),
        model=model,
        since=window.since,
        until=window.until,
        counts=dict(counts or {}),
        notes=(*notes, *_notes(baseline, window)),
        attributions={}
        if attributed is None
        else {name: (was, attributed.now[name]) for name, was in attributed.before.items()},
    )


def silent(report: Report, now: int, after: int) -> Report:
    """The report with a finding about when the window's last row was asked: `after` ms without any are an alarm.

    A monitor that sees nothing would find no drift for ever. now: milliseconds since 1970.
    """
    if report.until is None:
        return report
    since = now - report.until
    said = f"the last row is of {since / 60_000:,.0f} minutes ago; {after / 60_000:,.0f} are allowed"
    if since < 0:
        said = f"the last row is of {-since / 60_000:,.1f} minutes from now: clocks differ"
    verdict = Verdict.ALARM if since > after else Verdict.OK
    finding = Finding(
        Kind.ABSENCE, WINDOW, SILENCE, verdict, said, report.rows, found=float(since), threshold=float(after)
    )
    return replace(report, findings=(finding, *report.findings))


@dataclass(frozen=True)
class _Open:
    """A finding before it is known how many others there are. said: what was found; ok, alarm: what that means."""

    finding: Finding
    beyond: bool
    enough: bool = True


def _rows(window: Window) -> _Open:
    said = f"{window.rows:,} rows" if window.rows else "nothing was captured: the service or what captures it is down"
    finding = Finding(Kind.ABSENCE, WINDOW, ROWS, Verdict.OK, said, window.rows, found=float(window.rows), threshold=1)
    return _Open(finding, beyond=not window.rows)


def _columns(window: Window) -> Iterator[_Open]:
    for name in window.absent:
        said = "the window has no such column: it isn't captured any more, or under another name"
        yield _Open(Finding(Kind.QUALITY, name, COLUMN, Verdict.OK, said, window.rows), beyond=True)


def _before(baseline: Baseline, segment: str, name: str) -> Distribution:
    """How a feature was distributed in a segment of training; where training had no such one, in all of it."""
    whole = baseline.features[name]
    kept = baseline.segments.get(segment, {}).get(name)
    return whole if kept is None else replace(whole, counts=kept[0], missing=kept[1])


def _looked_at(before: Distribution, seen: Counts, segment: str, settings: Settings) -> Iterator[_Open]:
    yield _drift(before, seen, segment, settings)
    yield from _quality(before, seen, segment, settings)


def _drift(before: Distribution, seen: Counts, segment: str, settings: Settings) -> _Open:
    metric = settings.metric
    if before.cuts is None and metric not in distances.OF_COUNTS:
        # Words are in no order, along which distributions could be cumulated.
        metric = "jensen_shannon"
    enough = min(seen.there, before.there) >= settings.minimum
    distance = p = None
    said = ""
    if enough:
        distance, p = _distance(metric, before, seen.counts)
        said = f"{metric} is {distance:.3f}; {settings.threshold:g} is allowed{_moved(before, seen.counts)}"
    finding = Finding(
        before.kind, before.name, metric, Verdict.OK, said, seen.there, segment, distance, settings.threshold, p
    )
    return _Open(finding, distance is not None and distance > settings.threshold, enough)


def _distance(metric: str, before: Distribution, after: np.ndarray) -> tuple[float, float]:
    """A distance, and how likely noise makes as much."""
    if metric in distances.OF_COUNTS:
        measure, noise = distances.OF_COUNTS[metric]
        wide = before.wide(before.counts), before.wide(after)
        return measure(*wide), noise(*wide)
    if metric == "kolmogorov_smirnov":
        distance = distances.kolmogorov_smirnov(before.counts, after)
        return distance, distances.kolmogorov_noise(distance, before.there, int(after.sum()))
    cuts = np.zeros(0) if before.cuts is None else before.cuts
    distance = distances.wasserstein(before.counts, after, cuts, before.deviation)
    return distance, distances.area_noise(distance, before.counts, after, cuts, before.deviation)


def _moved(before: Distribution, after: np.ndarray) -> str:
    """Where most of what was added lies, in words."""
    shares = before.wide(before.counts) / max(1, before.there)
    more = before.wide(after) / max(1, after.sum()) - shares
    place = int(np.argmax(more))
    if more[place] <= 0:
        return ""
    change = f"{shares[place]:.1%} in training, {shares[place] + more[place]:.1%} now"
    if before.cuts is None:
        word = f"`{before.words[place]}`" if place < len(before.words) else "other words"
        return f"; {word} grew most ({change})"
    edges = before.cuts if before.coarse is None else before.cuts[before.coarse]
    if not len(edges):
        return ""
    if place == 0:
        where = f"up to {edges[0]:g}"
    else:
        where = f"above {edges[place - 1]:g}" + (f" up to {edges[place]:g}" if place < len(edges) else "")
    return f"; values {where} grew most ({change})"


def _quality(before: Distribution, seen: Counts, segment: str, settings: Settings) -> Iterator[_Open]:
    def grown(metric: str, was: int, of: int, now: int, among: int, threshold: float, what: str) -> _Open:
        enough = among >= settings.minimum and of > 0
        share, usual = now / max(1, among), was / max(1, of)
        p = distances.more_noise(was, of, now, among) if enough else None
        said = f"{share:.1%} {what}, {usual:.1%} in training; {threshold:.1%} more are allowed"
        finding = Finding(
            Kind.QUALITY,
            before.name,
            metric,
            Verdict.OK,
            said,
            among,
            segment,
            share if enough else None,
            usual + threshold,
            p,
        )
        return _Open(finding, enough and share > usual + threshold, enough)

    yield grown(MISSING, before.missing, before.rows, seen.missing, seen.rows, settings.missing, "are missing")
    if before.cuts is None:
        # Where the baseline keeps some words of many, it can't tell rare ones from new ones.
        if before.different <= len(before.words):
            what = "are words that training didn't have"
            if seen.example is not None:
                what += f", such as `{seen.example}`"
            others, new = int(before.counts[-1]), int(seen.counts[-1])
            yield grown(UNKNOWN, others, before.there, new, seen.there, settings.unknown, what)
    elif before.lowest is not None and before.highest is not None:
        what = f"lie beyond {before.lowest:g} to {before.highest:g}, where all lay in training"
        if before.low is not None and seen.lowest is not None and seen.lowest < before.low:
            what += f" (the lowest is {seen.lowest:g}; less than {before.low:g} isn't plausible)"
        if before.high is not None and seen.highest is not None and seen.highest > before.high:
            what += f" (the highest is {seen.highest:g}; more than {before.high:g} isn't plausible)"
        yield grown(OUTSIDE, 0, before.there, seen.outside, seen.there, settings.outside, what)
    if not before.constant:
        yield _constant(before, seen, segment, settings)


def _constant(before: Distribution, seen: Counts, segment: str, settings: Settings) -> _Open:
    """Whether all values are the same where those of training weren't, and whether that could be chance."""
    places = np.flatnonzero(seen.counts)
    same = len(places) == 1 and (
        seen.lowest == seen.highest if before.cuts is not None else places[0] < len(before.words)
    )
    enough = seen.there >= settings.minimum and before.there > 0
    said, p = "values differ", 1.0
    if same:
        share = (before.counts[places[0]] + 1) / (before.there + 1)
        p = float(min(1.0, share) ** seen.there)
        value = f"{seen.lowest:g}" if before.cuts is not None else f"`{before.words[places[0]]}`"
        said = f"all {seen.there:,} values are {value}, where those of training differ"
    finding = Finding(
        Kind.QUALITY,
        before.name,
        CONSTANT,
        Verdict.OK,
        said,
        seen.there,
        segment,
        float(same) if enough else None,
        0.5,
        p if enough else None,
    )
    return _Open(finding, same, enough)


def _decayed(decay: Decay, settings: Settings) -> _Open:
    enough = decay.enough(settings)
    finding = Finding(
        Kind.CONCEPT,
        decay.feature,
        decay.metric,
        Verdict.OK,
        decay.said(settings),
        decay.sample,
        decay.segment,
        decay.value if enough else None,
        decay.allowed(settings),
        decay.p if enough else None,
        low=decay.low if enough else None,
        high=decay.high if enough else None,
    )
    return _Open(finding, enough and decay.beyond(settings), enough)


def _attributed(one: Attributed, settings: Settings) -> _Open:
    enough = one.sample >= settings.minimum
    finding = Finding(
        Kind.ATTRIBUTION,
        WINDOW,
        NDCG,
        Verdict.OK,
        one.said(settings) if enough else "",
        one.sample,
        found=one.found if enough else None,
        threshold=settings.attribution,
        p=one.p(settings) if enough else None,
        low=one.low if enough else None,
        high=one.high if enough else None,
    )
    return _Open(finding, enough and one.found < settings.attribution, enough)


def _judged(found: Sequence[_Open], settings: Settings) -> Iterator[Finding]:
    """The verdicts, when it is known how many things were looked at."""
    tested = [one for one in found if one.finding.p is not None]
    adjusted = dict(
        zip(map(id, tested), holm([one.finding.p for one in tested if one.finding.p is not None]), strict=True)
    )
    for one in found:
        finding = one.finding
        if not one.enough:
            said = f"{finding.sample:,} rows are too few to tell; {settings.minimum:,} are needed"
            yield replace(finding, verdict=Verdict.TOO_FEW, reason=finding.reason or said)
            continue
        p = adjusted.get(id(one))
        sure = p is None or p <= settings.alpha
        said = finding.reason
        if p is not None and one.beyond:
            doubt = "noise doesn't explain it" if sure else "noise may explain it"
            said += f"; {doubt} (p = {max(p, 1e-300):.2g} among {len(tested):,} findings)"
        verdict = Verdict.ALARM if one.beyond and sure else Verdict.OK
        yield replace(finding, verdict=verdict, reason=said, adjusted=p)


def _notes(baseline: Baseline, window: Window) -> Iterator[str]:
    for column in window.unsegmented:
        yield f"segments of `{column}` weren't looked at: the window has no such column"
    new = [segment for segment in window.counts if segment != WHOLE and segment not in baseline.segments]
    if new:
        yield f"training kept no segment {', '.join(sorted(new)[:10])}: compared with all of training"
