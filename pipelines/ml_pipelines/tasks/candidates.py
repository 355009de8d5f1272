"""Candidates that several tasks try, each with its search space, declared once for all tuners."""

from ml_pipelines.tasks.task import Candidate, Choice, Family, Real, Whole

BOOSTING = Candidate(
    name="gradient-boosting",
    family=Family.BOOSTING,
    sentence="Many small trees, each correcting those before it",
    defaults={"iterations": 200, "learning_rate": 0.08, "leaves": 8, "samples_per_leaf": 40, "l2": 3.0},
    space={
        "iterations": Whole(60, 400, log=True),
        "learning_rate": Real(0.02, 0.2, log=True),
        "leaves": Whole(3, 40, log=True),
        "samples_per_leaf": Whole(10, 120, log=True),
        "l2": Real(0.01, 30.0, log=True),
    },
)
LINEAR = Candidate(
    name="logistic-regression",
    family=Family.LINEAR,
    sentence="A weighted sum, by its logistic function",
    defaults={"strength": 0.1, "rare": 20},
    space={"strength": Real(0.0005, 10.0, log=True), "rare": Whole(5, 200, log=True)},
    effort=3,
)
SCORECARD = Candidate(
    name="scorecard",
    family=Family.SCORECARD,
    sentence="Points for each range of each input, summed: what a person can check by hand",
    defaults={"strength": 0.1, "bins": 8, "rare": 20},
    space={"strength": Real(0.002, 10.0, log=True), "bins": Whole(4, 16), "rare": Whole(5, 100, log=True)},
    effort=3,
)
NUMBER_BOOSTING = Candidate(
    name="gradient-boosting",
    family=Family.BOOSTING,
    sentence=BOOSTING.sentence,
    defaults={**BOOSTING.defaults, "leaves": 24, "iterations": 250, "loss": "absolute_error"},
    space={
        **BOOSTING.space,
        "iterations": Whole(100, 500, log=True),
        "leaves": Whole(8, 64, log=True),
        "loss": Choice(("absolute_error", "squared_error")),
    },
)
RIDGE = Candidate(
    name="ridge-regression",
    family=Family.LINEAR,
    sentence="A weighted sum",
    defaults={"strength": 1.0, "rare": 20},
    space={"strength": Real(0.0001, 100.0, log=True), "rare": Whole(5, 200, log=True)},
    effort=3,
)
BASE_RATE = Candidate(name="base-rate", family=Family.CONSTANT, sentence="The share of the outcome, for everybody")
MEDIAN = Candidate(name="median", family=Family.CONSTANT, sentence="The median, for everybody")


def as_it_is(name: str, sentence: str, *offset: str) -> Candidate:
    """An input as the prediction itself, such as last week's value, or the first of several that isn't missing."""
    return Candidate(name=name, family=Family.INPUT, sentence=sentence, offset=offset)
