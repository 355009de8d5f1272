"""Card payments with fraud among them: a seeded generator, since no real set may be passed on.

The same seed gives the same bytes on every platform (see draws.py). Events are payments as the issuer sees them; what
is known of their fraud comes apart, and later.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml_pipelines.datasets.draws import MILLION, Draws, Integers, Mask
from ml_pipelines.datasets.history import DataSet, DataSetError, Events, Request

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

SINCE_MS = 1_735_689_600_000  # Wednesday, 2025-01-01
DAYS = 60
EVENTS = 100_000
EVENTS_PER_CARD = 50
CARDS_PER_MERCHANT = 4
FRAUD_PER_MILLION = 3_000
UNREPORTED_PER_MILLION = 40_000
LABEL_OF_HONEST_MS = 60 * DAY_MS

# Countries: share of the cards, share of the merchants, hours from UTC in winter, currency of the accounts.
COUNTRIES = {
    "DE": (30, 22, 1, "EUR"),
    "FR": (20, 16, 1, "EUR"),
    "GB": (15, 14, 0, "GBP"),
    "US": (15, 16, -5, "USD"),
    "NL": (12, 9, 1, "EUR"),
    "PL": (8, 6, 1, "PLN"),
    "ES": (0, 7, 1, "EUR"),
    "IT": (0, 6, 1, "EUR"),
    "SG": (0, 2, 8, "SGD"),
    "MX": (0, 2, -6, "MXN"),
}
# The cumulated shares to which the quantiles of all amounts belong, per million.
SHARES = (0, 100_000, 250_000, 500_000, 750_000, 900_000, 970_000, 995_000, MILLION)
# Categories (ISO 18245): share of the merchants, percentage of these that sell online, quantiles of amounts in cents.
CATEGORIES = {
    "5411": (26, 8, (120, 450, 1100, 2300, 4800, 8500, 13000, 19000, 32000)),  # groceries
    "5812": (12, 2, (400, 1100, 1800, 3200, 5600, 9000, 14000, 22000, 48000)),  # restaurants
    "5814": (11, 10, (150, 380, 620, 980, 1500, 2200, 3400, 5200, 9000)),  # fast food
    "5541": (8, 0, (500, 1800, 3000, 4800, 6600, 8400, 10500, 13000, 18000)),  # service stations
    "5912": (6, 15, (200, 500, 900, 1600, 2900, 5000, 8000, 12000, 25000)),  # chemists
    "5651": (7, 45, (600, 1500, 2600, 4900, 8900, 14500, 22000, 36000, 80000)),  # clothing
    "5311": (6, 40, (500, 1400, 2500, 5200, 10500, 19000, 32000, 55000, 120000)),  # department stores
    "5732": (3, 60, (900, 2400, 5000, 12500, 34000, 72000, 110000, 165000, 300000)),  # electronics
    "5944": (1, 35, (1500, 4000, 8000, 18000, 42000, 90000, 160000, 260000, 500000)),  # jewellery
    "4111": (8, 30, (100, 220, 280, 350, 620, 1500, 4000, 8000, 16000)),  # local transport
    "4511": (1, 90, (3900, 7000, 11000, 19500, 36000, 62000, 98000, 150000, 320000)),  # airlines
    "7011": (2, 55, (3500, 6500, 8900, 13500, 24000, 42000, 70000, 110000, 240000)),  # hotels
    "5815": (5, 100, (99, 299, 499, 999, 1499, 1999, 3999, 5999, 12000)),  # digital media
    "5816": (4, 100, (99, 199, 499, 999, 2499, 4999, 9999, 14999, 30000)),  # digital games
}
TESTED_AT = ("5815", "5816")
CASHED_AT = ("5732", "5944")
# Weights of the hours of a day in local time, and of the days from Monday.
HOURS = (6, 3, 2, 1, 1, 3, 10, 30, 55, 60, 62, 70, 92, 84, 62, 60, 70, 92, 104, 88, 60, 42, 26, 14)
WEEKDAYS = (90, 90, 94, 100, 124, 132, 82)
# How often cards and merchants are used, as quantiles: some of them a hundred times as often as others.
ACTIVITY = (4, 12, 25, 55, 110, 190, 300, 420, 600)
SPENDING_PERCENT = (35, 55, 70, 95, 125, 170, 240, 330, 500)
REPORTED_AFTER_HOURS = (1, 14, 48, 160, 400, 700, 1000, 1250, 1400)
# How cards are used, in percent: in a shop for up to 50 and for more than that, and elsewhere.
SMALL_CENTS = 5000
CHANNELS = ("contactless", "chip", "stripe", "online", "mail_order")
SMALL_IN_SHOPS = (76, 22, 2, 0, 0)
LARGE_IN_SHOPS = (18, 76, 6, 0, 0)
ELSEWHERE = (0, 0, 0, 97, 3)
NETWORK_MS = (40, 70, 95, 130, 200, 340, 800, 2500, 9000)

# Shares of the payments that go to a favourite merchant, to another one at home, online at home, and online abroad.
CHOICE = (550, 280, 120, 50)
CHOICE_AFTER_DRIFT = (400, 210, 320, 70)
DRIFT_PERCENT = 130
# Shares of fraud.
PATTERNS = {"card_testing": 35, "ring": 25, "takeover": 25, "stolen": 15}
CASH_OUT_CENTS = (9000, 12000, 17000, 26000, 42000, 60000, 82000, 110000, 150000)
RING_CENTS = (2500, 4000, 6500, 9900, 14900, 19900, 24900, 32000, 45000)
TAKEOVER_CENTS = (4000, 7000, 11000, 19000, 36000, 62000, 90000, 120000, 200000)
STOLEN_CENTS = (1500, 2500, 4500, 8000, 15000, 26000, 40000, 60000, 95000)
LONGEST_EPISODE_MS = 6 * DAY_MS


@dataclass(frozen=True)
class Payments:
    """Columns of payments, by number of card and merchant."""

    card: Integers
    merchant: Integers
    time: Integers
    cents: Integers

    def __len__(self) -> int:
        return len(self.card)

    @staticmethod
    def joined(parts: "list[Payments]") -> "Payments":
        """All parts, one after the other."""
        return Payments(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("card", "merchant", "time", "cents"))
        )


class World:
    """The cards and merchants of a seed."""

    def __init__(self, cards: int, seed: int) -> None:
        draws = Draws(seed, "world")
        self.home = draws.weighted([country[0] for country in COUNTRIES.values()], cards)
        self.activity = draws.shaped(SHARES, np.array(ACTIVITY), cards)
        self.spending = draws.shaped(SHARES, np.array(SPENDING_PERCENT), cards)
        self._merchants(max(12 * len(COUNTRIES), cards // CARDS_PER_MERCHANT), draws)
        at_home = self.any_merchant(self.home, online=False, draws=draws, each=5)
        online = self.any_merchant(self.home, online=True, draws=draws, each=1)
        self.favourites = np.concatenate([at_home, online], axis=1)
        self._trips(cards, draws)

    def _merchants(self, count: int, draws: Draws) -> None:
        """Merchants sorted by country and by whether they sell online, so that each such group is a range of them."""
        categories = list(CATEGORIES.values())
        country = draws.weighted([country[1] for country in COUNTRIES.values()], count)
        category = draws.weighted([category[0] for category in categories], count)
        online = draws.below(100, count) < np.array([category[1] for category in categories])[category]
        # No group is empty: the first merchants are spread over all countries, physical and online. Neither is any
        # category at which cards are tested or cashed.
        first = np.arange(4 * len(COUNTRIES))
        country[first], online[first] = first % len(COUNTRIES), first // len(COUNTRIES) % 2 == 1
        sought = np.arange(4 * len(COUNTRIES), 4 * len(COUNTRIES) + len(TESTED_AT + CASHED_AT))
        category[sought], online[sought] = [list(CATEGORIES).index(code) for code in TESTED_AT + CASHED_AT], True
        order = np.lexsort((category, online, country))
        self.country, self.category, self.online = country[order], category[order], online[order]
        popularity = draws.shaped(SHARES, np.array(ACTIVITY), count)
        self._steps = np.concatenate([[0], np.cumsum(popularity)])
        groups = self.country * 2 + self.online
        self._first = np.searchsorted(groups, np.arange(2 * len(COUNTRIES) + 1))

    def _trips(self, cards: int, draws: Draws) -> None:
        """One card in twelve travels once: where to, from when, until when; the others' trip has no length."""
        self.abroad = self.elsewhere(self.home, draws)
        self.leaves = SINCE_MS + draws.below(DAYS * DAY_MS // MINUTE_MS, cards) * MINUTE_MS
        travels = draws.happens(MILLION // 12, cards)
        self.returns = self.leaves + np.where(travels, draws.between(3, 14, cards) * DAY_MS, 0)

    def any_merchant(self, country: Integers, online: bool | Mask, draws: Draws, each: int = 1) -> Integers:
        """Merchants of these countries by popularity: one for each, or a row of as many as asked for."""
        group = np.repeat(country * 2 + online, each)
        low, high = self._steps[self._first[group]], self._steps[self._first[group + 1]]
        found = np.searchsorted(self._steps, low + draws.below(high - low, len(group)), side="right") - 1
        return found.reshape(-1, each)

    def elsewhere(self, country: Integers, draws: Draws) -> Integers:
        """A country for each that is another one."""
        return (country + draws.between(1, len(COUNTRIES) - 1, len(country))) % len(COUNTRIES)

    def offset_ms(self, country: Integers) -> Integers:
        """How far local time is ahead of UTC."""
        return np.array([country[2] for country in COUNTRIES.values()])[country] * HOUR_MS

    def online_in(self, codes: tuple[str, ...]) -> Integers:
        """The merchants of these categories that sell online."""
        return np.flatnonzero(self.online & np.isin(self.category, [list(CATEGORIES).index(code) for code in codes]))


def generate(request: Request) -> Events:
    """Payments of 60 days in order of time, and their labels. Raises DataSetError for fewer than 1,000 events."""
    events = EVENTS if request.events is None else request.events
    if events < 1000:
        raise DataSetError(f"data set `payments` has at least 1000 events; {events} were asked for")
    world = World(max(20, events // EVENTS_PER_CARD), request.seed)
    drift_at = SINCE_MS + DAYS * DAY_MS if request.drift_at is None else request.drift_at
    fraud = round(events * FRAUD_PER_MILLION / MILLION)
    quotas = [fraud * share // 100 for share in PATTERNS.values()]
    quotas[0] += fraud - sum(quotas)
    makers = (_card_testing, _rings, _takeovers, _stolen)
    parts = [_honest(world, events - fraud, drift_at, Draws(request.seed, "honest"))]
    for name, maker, quota in zip(PATTERNS, makers, quotas, strict=True):
        parts.append(maker(world, quota, drift_at, Draws(request.seed, name)))
    pattern = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    payments = Payments.joined(parts)
    # Ids follow the order of time, so that they tell nothing of how a payment came about.
    order = np.argsort(payments.time, kind="stable")
    payments = Payments(payments.card[order], payments.merchant[order], payments.time[order], payments.cents[order])
    ids = _names(f"payment-{request.seed}-", np.arange(events), 9)
    arrived_at = payments.time + Draws(request.seed, "network").shaped(SHARES, np.array(NETWORK_MS), events)
    labels = _labels(ids, payments.time, pattern[order], Draws(request.seed, "labels"))
    channel = _channel(world, payments, Draws(request.seed, "channel"))
    return Events(_table(world, payments, ids, channel), arrived_at, labels)


def _honest(world: World, count: int, drift_at: int, draws: Draws) -> Payments:
    """Payments of card holders: by the hours and days of their home, now and then several in a row, some on a trip."""
    followers = count * 8 // 100
    card = draws.weighted(world.activity, count - followers)
    week = np.outer(WEEKDAYS, HOURS)
    first = SINCE_MS // DAY_MS - 4  # 1970-01-05 was a Monday.
    hours = week[(first + np.arange(DAYS)) % 7].ravel()
    local = draws.weighted(hours, len(card)) * HOUR_MS + draws.below(HOUR_MS, len(card))
    since = local - world.offset_ms(world.home[card])
    leader = draws.below(len(card), followers)
    card = np.concatenate([card, card[leader]])
    since = np.concatenate([since, since[leader] + draws.between(2 * MINUTE_MS, 40 * MINUTE_MS, followers)])
    # What lies a few hours outside of the sixty days is brought in at their other end.
    time = SINCE_MS + since % (DAYS * DAY_MS)
    merchant = _visited(world, card, time, drift_at, draws)
    quantiles = np.array([category[2] for category in CATEGORIES.values()])
    cents = draws.shaped(SHARES, quantiles[world.category[merchant]], count) * world.spending[card] // 100
    cents = np.where(time >= drift_at, cents * DRIFT_PERCENT // 100, cents)
    return Payments(card, merchant, time, np.maximum(cents, 50))


def _visited(world: World, card: Integers, time: Integers, drift_at: int, draws: Draws) -> Integers:
    """The merchant of each honest payment. As much is drawn with a drift as without: nothing before it changes."""
    count, home = len(card), world.home[card]
    roll = draws.below(sum(CHOICE), count)
    before, after = (np.searchsorted(np.cumsum(choice), roll, side="right") for choice in (CHOICE, CHOICE_AFTER_DRIFT))
    choice = np.where(time >= drift_at, after, before)
    favourite = world.favourites[card, draws.weighted((40, 25, 15, 10, 4, 6), count)]
    country = np.where(choice == 3, world.elsewhere(home, draws), home)
    merchant = np.where(choice == 0, favourite, world.any_merchant(country, choice >= 2, draws)[:, 0])
    on_trip = (time >= world.leaves[card]) & (time < world.returns[card]) & ~world.online[merchant]
    return np.where(on_trip, world.any_merchant(world.abroad[card], False, draws)[:, 0], merchant)


def _card_testing(world: World, quota: int, drift_at: int, draws: Draws) -> Payments:
    """Many small payments at one merchant within minutes, to see which cards work; half of these are then cashed."""
    episodes = Episodes(quota, 6, 20, draws)
    start, card = episodes.starts(draws), draws.below(len(world.home), episodes.count)
    drifted = start >= drift_at
    tested_at, cashed_at = world.online_in(TESTED_AT), world.online_in(CASHED_AT)
    merchant = tested_at[draws.below(len(tested_at), episodes.count)][episodes.number]
    cents = draws.between(50, 300, quota)
    cents = np.where(drifted[episodes.number], cents * 8, cents)
    gap = draws.between(4 * SECOND_MS, 60 * SECOND_MS, quota) * np.where(drifted, 12, 1)[episodes.number]
    cashes = draws.happens(MILLION // 2, episodes.count)[episodes.number] & episodes.among_last(2)
    merchant = np.where(cashes, cashed_at[draws.below(len(cashed_at), quota)], merchant)
    cents = np.where(cashes, draws.shaped(SHARES, np.array(CASH_OUT_CENTS), quota), cents)
    gap = np.where(cashes, draws.between(10 * MINUTE_MS, 180 * MINUTE_MS, quota), gap)
    return Payments(card[episodes.number], merchant, episodes.times(start, gap), cents)


def _rings(world: World, quota: int, drift_at: int, draws: Draws) -> Payments:
    """Copies of forty cards are used at the same four merchants within five days, each some times."""
    rings = Episodes(quota, 60, 240, draws)
    cards = draws.below(len(world.home), rings.count * 40).reshape(-1, 40)
    merchants = draws.below(len(world.online), rings.count * 4).reshape(-1, 4)
    card = cards[rings.number, draws.below(40, quota)]
    merchant = merchants[rings.number, draws.below(4, quota)]
    time = rings.starts(draws)[rings.number] + draws.below(5 * DAY_MS, quota)
    return Payments(card, merchant, time, draws.shaped(SHARES, np.array(RING_CENTS), quota))


def _takeovers(world: World, quota: int, drift_at: int, draws: Draws) -> Payments:
    """Whoever has the login of an account buys online in one foreign country, beginning while its holder sleeps."""
    episodes = Episodes(quota, 4, 12, draws)
    card = draws.below(len(world.home), episodes.count)
    country = world.elsewhere(world.home[card], draws)
    night = episodes.starts(draws) // DAY_MS * DAY_MS + draws.below(5 * HOUR_MS, episodes.count)
    start = np.maximum(night - world.offset_ms(world.home[card]), SINCE_MS)
    merchant = world.any_merchant(country[episodes.number], True, draws)[:, 0]
    gap = draws.between(10 * MINUTE_MS, 120 * MINUTE_MS, quota)
    cents = draws.shaped(SHARES, np.array(TAKEOVER_CENTS), quota)
    return Payments(card[episodes.number], merchant, episodes.times(start, gap), cents)


def _stolen(world: World, quota: int, drift_at: int, draws: Draws) -> Payments:
    """A stolen card is used in the shops around, until it is blocked."""
    episodes = Episodes(quota, 3, 8, draws)
    card = draws.below(len(world.home), episodes.count)
    merchant = world.any_merchant(world.home[card][episodes.number], False, draws)[:, 0]
    gap = draws.between(4 * MINUTE_MS, 45 * MINUTE_MS, quota)
    cents = draws.shaped(SHARES, np.array(STOLEN_CENTS), quota)
    return Payments(card[episodes.number], merchant, episodes.times(episodes.starts(draws), gap), cents)


class Episodes:
    """Series of payments that belong together: `quota` of them in series of `lowest` to `highest`, the last one cut."""

    def __init__(self, quota: int, lowest: int, highest: int, draws: Draws) -> None:
        ends = np.cumsum(draws.between(lowest, highest, quota // lowest + 1))
        each = np.arange(quota)
        self.number = np.searchsorted(ends, each, side="right")
        self.count = int(self.number[-1]) + 1 if quota else 0
        self._left = ends[self.number] - each
        self._first = np.flatnonzero(np.diff(self.number, prepend=-1))

    def among_last(self, count: int) -> Mask:
        """Whether each payment is one of the last ones of its series."""
        return self._left <= count

    def starts(self, draws: Draws) -> Integers:
        """A start for each series, early enough for its end to lie within the sixty days."""
        return SINCE_MS + draws.below((DAYS * DAY_MS - LONGEST_EPISODE_MS) // SECOND_MS, self.count) * SECOND_MS

    def times(self, start: Integers, gap: Integers) -> Integers:
        """The time of each payment from its series' start and the gaps before the others."""
        elapsed = np.cumsum(gap)
        return start[self.number] + elapsed - elapsed[self._first][self.number]


def _channel(world: World, payments: Payments, draws: Draws) -> Integers:
    """How the card was used, as the number of a channel."""
    roll = draws.below(100, len(payments))
    small, large, elsewhere = (
        np.searchsorted(np.cumsum(shares), roll, side="right") for shares in (SMALL_IN_SHOPS, LARGE_IN_SHOPS, ELSEWHERE)
    )
    in_shops = np.where(payments.cents <= SMALL_CENTS, small, large)
    return np.where(world.online[payments.merchant], elsewhere, in_shops)


def _table(world: World, payments: Payments, ids: pa.Array, channel: Integers) -> pa.Table:
    merchant, home = payments.merchant, world.home[payments.card]
    countries, currencies = pa.array(list(COUNTRIES)), pa.array([country[3] for country in COUNTRIES.values()])
    cards = _names("card-", np.arange(len(world.home)), 7)
    merchants = _names("merchant-", np.arange(len(world.online)), 6)
    return pa.table(
        {
            "event_id": ids,
            "card_id": cards.take(pa.array(payments.card)),
            "event_time": payments.time,
            "amount": payments.cents / 100,
            "currency": currencies.take(pa.array(home)),
            "merchant_id": merchants.take(pa.array(merchant)),
            "merchant_category": pa.array(list(CATEGORIES)).take(pa.array(world.category[merchant])),
            "country": countries.take(pa.array(world.country[merchant])),
            "card_present": ~world.online[merchant],
            "channel": pa.array(CHANNELS).take(pa.array(channel)),
        }
    )


def _labels(ids: pa.Array, time: Integers, pattern: Integers, draws: Draws) -> pa.Table:
    """What becomes known of each payment. Fraud is reported after hours to weeks, some of it never."""
    count = len(time)
    is_fraud = (pattern > 0) & ~draws.happens(UNREPORTED_PER_MILLION, count)
    reported = draws.shaped(SHARES, np.array(REPORTED_AFTER_HOURS), count) * HOUR_MS + draws.below(HOUR_MS, count)
    return pa.table(
        {
            "event_id": ids,
            "outcome": is_fraud.astype(np.float64),
            "labelled_at": time + np.where(is_fraud, reported, LABEL_OF_HONEST_MS),
            "pattern": pa.array(["none", *PATTERNS]).take(pa.array(pattern)),
        }
    )


def _names(prefix: str, numbers: Integers, digits: int) -> pa.Array:
    return pa.array([f"{prefix}{number:0{digits}}" for number in numbers.tolist()])


PAYMENTS = DataSet(
    name="payments",
    sentence="Generated card payments of 60 days, 0.3% of them fraud; as many as asked for.",
    workload="fraud-detection",
    contract="card_transaction",
    event_id=("event_id",),
    source="ml_pipelines.datasets.fraud, by seed",
    license="Apache-2.0, as this repository.",
    rows=None,
    mapping="Events arrive within seconds. Labels come apart, by event id: `outcome` and `labelled_at`; `pattern` is "
    "the truth and no input of a model.",
    made_up="Everything; see the assumptions below.",
    limits="See below.",
    make=generate,
)
