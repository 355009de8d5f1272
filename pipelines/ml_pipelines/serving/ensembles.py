"""Several models that answer as one, and what becomes of the answer where a member fails.

Quick members are asked one after the other, where the request is; slow ones in threads of their own, at the same time.
A member that fails, or is late, is left out by its method's rule, and the answer names it:

- vote: those that answer decide;
- weighted mean: the others' weights count for the whole;
- stacked: the model on top takes the score for missing;
- cascade: the next one is asked; where there is none, the last score stands, uncertain as it is.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml_pipelines.serving.inputs import Columns
from ml_pipelines.serving.models import QUICK_ROWS, WAITING, Model, ScoreError
from ml_pipelines.serving.table import Ensemble, Method


class UnansweredError(Exception):
    """Fewer members answered than there must be."""


@dataclass(slots=True)
class Joint:
    """An answer for each row. `members` are the scores by name, `failed` why by name for those that gave none."""

    scores: list[float]
    selected: list[bool | None]
    members: dict[str, list[float]]
    failed: dict[str, str]


async def ask(model: Model, columns: Columns, rows: int, timeout: float) -> list[float]:
    """A model's scores, in place or in its threads. Raises ScoreError, also for one that is late or has a queue."""
    if model.quick and rows <= QUICK_ROWS:
        return model.score(columns)
    if model.waiting >= WAITING:
        raise ScoreError(f"{model.waiting} requests wait for it")
    model.waiting += 1
    task = asyncio.get_running_loop().run_in_executor(model.pool, model.score, columns)
    task.add_done_callback(lambda done: _leave(model, done))
    try:
        return await asyncio.wait_for(asyncio.shield(task), timeout)
    except TimeoutError:
        raise ScoreError(f"didn't answer in {timeout * 1000:g} ms") from None


def _leave(model: Model, done: "asyncio.Future[list[float]]") -> None:
    model.waiting -= 1
    # Nobody may be left who asks why it failed.
    if not done.cancelled():
        done.exception()


async def answer(spec: Ensemble, models: Mapping[str, Model], columns: Mapping[str, Columns], rows: int) -> Joint:
    """What the members say together. `models` and `columns` are by name. Raises UnansweredError."""
    if spec.method is Method.CASCADE:
        return await _cascade(spec, models, columns, rows)
    members, failed = await _all(spec, models, columns, rows)
    if len(members) < spec.least:
        raise UnansweredError(f"{len(members)} of {len(spec.members)} members answered, {spec.least} must")
    if spec.method is Method.VOTE:
        return _vote(spec, models, members, failed, rows)
    if spec.method is Method.STACKED:
        return await _stacked(spec, models, members, failed, rows)
    whole = _weight(spec, members)
    scores = [sum(spec.weights[name] * got[row] for name, got in members.items()) / whole for row in range(rows)]
    first = models[next(iter(members))]
    return Joint(scores, [first.selected(score) for score in scores], members, failed)


async def _all(
    spec: Ensemble, models: Mapping[str, Model], columns: Mapping[str, Columns], rows: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    slow = {
        name: asyncio.create_task(ask(models[name], columns[name], rows, spec.timeout))
        for name in spec.members
        if not models[name].quick or rows > QUICK_ROWS
    }
    if slow:
        # Threads begin before quick members take the processor.
        await asyncio.sleep(0)
    members: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    for name in spec.members:
        try:
            members[name] = await slow[name] if name in slow else models[name].score(columns[name])
        except ScoreError as error:
            failed[name] = str(error)
    return members, failed


def _weight(spec: Ensemble, members: Iterable[str]) -> float:
    """What the members that answered weigh together. Raises UnansweredError where it is nothing."""
    whole = sum(spec.weights[name] for name in members)
    if not whole:
        raise UnansweredError("the members that answered have no weight")
    return whole


def _vote(
    spec: Ensemble,
    models: Mapping[str, Model],
    members: dict[str, list[float]],
    failed: dict[str, str],
    rows: int,
) -> Joint:
    """The share of the votes for the selection, by weight; half of them don't select."""
    whole = _weight(spec, members)
    scores = []
    for row in range(rows):
        votes = sum(spec.weights[name] for name, got in members.items() if models[name].selected(got[row]))
        scores.append(votes / whole)
    return Joint(scores, [score > 0.5 for score in scores], members, failed)


async def _stacked(
    spec: Ensemble,
    models: Mapping[str, Model],
    members: dict[str, list[float]],
    failed: dict[str, str],
    rows: int,
) -> Joint:
    top = models[spec.stacker or ""]
    columns: Columns = {
        column(name): np.array(members.get(name, [float("nan")] * rows), dtype=np.float64).reshape(-1, 1)
        for name in spec.members
    }
    try:
        scores = await ask(top, columns, rows, spec.timeout)
    except ScoreError as error:
        raise UnansweredError(f"the model on top, `{top.name}`, {error}") from error
    return Joint(scores, [top.selected(score) for score in scores], members, failed)


def column(member: str) -> str:
    """The input of a model on top that takes a member's score."""
    return member.replace("-", "_")


async def _cascade(spec: Ensemble, models: Mapping[str, Model], columns: Mapping[str, Columns], rows: int) -> Joint:
    """Each row by the first member that is certain of it; the rest goes on to the next, dearer one."""
    low, high = spec.band
    members: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    scores: list[float | None] = [None] * rows
    by: list[Model | None] = [None] * rows
    waiting: Sequence[int] = range(rows)
    for name in spec.members:
        fed = columns[name]
        part = fed if len(waiting) == rows else {key: values[list(waiting)] for key, values in fed.items()}
        try:
            got = await ask(models[name], part, len(waiting), spec.timeout)
        except ScoreError as error:
            failed[name] = str(error)
            continue
        members[name] = got
        for row, score in zip(waiting, got, strict=True):
            scores[row], by[row] = score, models[name]
        waiting = [row for row, score in zip(waiting, got, strict=True) if low < score < high]
        if not waiting:
            break
    known = [score for score in scores if score is not None]
    if len(known) < rows or len(members) < min(spec.least, len(members) + len(failed)):
        raise UnansweredError(f"{len(failed)} of {len(spec.members)} members failed")
    selected = [model.selected(score) if model else None for model, score in zip(by, known, strict=True)]
    return Joint(known, selected, members, failed)
