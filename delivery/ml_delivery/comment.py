"""The comment of a pull request: what a change leads to on each stack, in Markdown."""

from collections.abc import Iterator, Sequence

from sandbox.stacks import Phase

from ml_delivery.markdown import escaped, table
from ml_delivery.plan import SHOWN, Plan

# By which a workflow finds its own comment again.
MARK = "<!-- ml-blueprints: what this change leads to -->"
# A comment has room for 65,536 characters; what stands against the change comes first.
_MOST_ROWS = 40
_MOST_CHARACTERS = 60_000
_CLOUDS = ("aws", "gcp", "azure")


def render(plans: Sequence[Plan], base: str) -> str:
    """The whole comment, its verdict as the heading."""
    text = "\n".join(_lines(plans, base)) + "\n"
    if len(text) <= _MOST_CHARACTERS:
        return text
    kept = text[:_MOST_CHARACTERS].rpartition("\n")[0]
    closed = "\n\n</details>" if kept.count("<details>") > kept.count("</details>") else ""
    return f"{kept}{closed}\n\nThe rest is left out: a comment has room for no more.\n"


def _lines(plans: Sequence[Plan], base: str) -> Iterator[str]:
    changed = [plan for plan in plans if plan.planned or plan.is_new or plan.is_gone or plan.against]
    refused = [plan for plan in plans if plan.against]
    verdict = f"refused on {len(refused)}" if refused else "nothing stands against it"
    yield from (MARK, f"## {len(changed)} of {len(plans)} stacks change: {verdict}", "")
    yield from table(
        ("stack", *SHOWN, "policies", "USD a month", "capabilities"),
        (_row(plan) for plan in plans),
    )
    yield from _promotions(plans)
    yield from _budgets(plans)
    yield from _equivalence(plans)
    for plan in sorted(changed, key=lambda plan: not plan.against):
        yield from _stack(plan)
    yield from (
        "",
        f"Tried on the sandbox, from `{base}`, without credentials: ids and values that only a cloud gives are not "
        "known there. Prices are estimates; docs/cost.md says what is counted.",
    )


def _row(plan: Plan) -> tuple[str, ...]:
    if plan.is_gone:
        return (plan.name, "", "", "", "all", "", "", "the stack is gone: destroy it by hand")
    counts = (str(plan.count(step) or "") for step in SHOWN)
    return (plan.name, *counts, _policies(plan), _money(plan), _capabilities(plan))


def _policies(plan: Plan) -> str:
    if plan.phase is not Phase.DONE and not plan.violations:
        return "**failed**"
    found = [f"**{len(plan.violations)} violated**"] if plan.violations else []
    found += [f"{plan.advisories} advised"] if plan.advisories else []
    return ", ".join(found) or (f"{len(plan.policies)} pass" if plan.policies else "not checked")


def _money(plan: Plan) -> str:
    now, before = plan.usd, plan.usd_before
    if now is None:
        return ""
    if before is None or plan.is_new:
        return f"{now:,}"
    return f"{now:,} ({now - before:+,})" if now != before else f"{now:,}"


def _capabilities(plan: Plan) -> str:
    asked = plan.outputs.get("capabilitiesAsked") or ()
    return f"{len(asked) - len(plan.missing)} of {len(asked)}" if asked else ""


def _promotions(plans: Sequence[Plan]) -> Iterator[str]:
    """The champion that the stacks would have, where it isn't the one that they have."""
    moved = {
        (plan.outputs.get("workload"), plan.before["champion"], plan.outputs["champion"])
        for plan in plans
        if plan.before.get("champion") and plan.outputs.get("champion") not in (None, plan.before["champion"])
    }
    for workload, before, after in sorted(moved, key=str):
        yield from ("", f"**{escaped(str(workload))}** promotes {escaped(after)}, in place of {escaped(before)}.")


def _budgets(plans: Sequence[Plan]) -> Iterator[str]:
    for plan in plans:
        cost = plan.outputs.get("cost")
        if cost and cost["monthlyUsd"] > cost["budgetUsd"]:
            yield from (
                "",
                f"⚠️ {plan.name}: {cost['monthlyUsd']:,} USD a month, and the budget is {cost['budgetUsd']:,}.",
            )


def _equivalence(plans: Sequence[Plan]) -> Iterator[str]:
    """What one cloud would do for a workload and another would not."""
    platforms: dict[tuple[str, str], dict[str, set[str]]] = {}
    for plan in plans:
        outputs = plan.outputs
        if outputs.get("capabilities"):
            key = (str(outputs.get("architecture")), str(outputs.get("workload")))
            platforms.setdefault(key, {})[outputs["cloud"]] = set(outputs["capabilities"])
    compared = {key: clouds for key, clouds in platforms.items() if len(clouds) > 1}
    for (architecture, workload), clouds in compared.items():
        everywhere = set.intersection(*clouds.values())
        lacking = {cloud: set.union(*clouds.values()) - has for cloud, has in clouds.items()}
        told = [f"{cloud} lacks {', '.join(sorted(lacks))}" for cloud, lacks in lacking.items() if lacks]
        order = ", ".join(cloud for cloud in _CLOUDS if cloud in clouds)
        yield ""
        if told:
            yield f"⚠️ {escaped(workload)} ({architecture}) is not equivalent: {'; '.join(told)}."
        else:
            yield f"{escaped(workload)} ({architecture}): {len(everywhere)} capabilities, the same on {order}."


def _stack(plan: Plan) -> Iterator[str]:
    yield from ("", f"<details{' open' if plan.against else ''}><summary>{plan.name}</summary>", "")
    if plan.violations:
        found = ((escaped(rule), escaped(resource), escaped(message)) for rule, resource, message in plan.violations)
        yield from table(("rule", "resource", "found"), list(found)[:_MOST_ROWS])
        yield from _rest(len(plan.violations))
        yield ""
    elif plan.against:
        yield from (f"- {escaped(error)}" for error in plan.errors[:_MOST_ROWS])
        yield ""
    if plan.planned:
        rows = (
            (change.step, f"`{change.type}`", f"`{change.name}`", ", ".join(f"`{name}`" for name in change.properties))
            for change in sorted(plan.planned, key=lambda change: (-SHOWN.index(change.step), change.type, change.name))
        )
        yield from table(("", "type", "resource", "properties"), list(rows)[:_MOST_ROWS])
        yield from _rest(len(plan.planned))
    yield from _costs(plan)
    yield from ("", "</details>")


def _rest(count: int) -> Iterator[str]:
    if count > _MOST_ROWS:
        yield from ("", f"and {count - _MOST_ROWS} more")


def _costs(plan: Plan) -> Iterator[str]:
    """The layers whose cost changes."""
    if plan.is_new or plan.usd is None or plan.usd_before is None:
        return
    before, after = plan.before["cost"]["layers"], plan.outputs["cost"]["layers"]
    differing = [layer for layer in {**before, **after} if before.get(layer, 0) != after.get(layer, 0)]
    if differing:
        yield ""
        yield from table(
            ("layer", "USD a month", "before"),
            ((layer, f"{after.get(layer, 0):,.2f}", f"{before.get(layer, 0):,.2f}") for layer in differing),
        )
