"""The queue against a model of it, on the real server: thousands of random steps."""

import asyncio
import os
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from liqcli.model import Tier
from liqcli.sandbox.valkey import Valkey
from liqcli.store.connection import open_redis
from liqcli.store.queue import BorrowerQueue, Claim, State
from tests.store.conftest import NAMESPACE, address, entry, let_end

LONG = os.environ.get("LIQ_LONG") == "1"
STEPS = 50
MAX_TRIES = 3
TIERS = list(Tier)

numbers = st.integers(0, 11)
pushes = st.lists(
    st.tuples(numbers, st.sampled_from(TIERS), st.integers(-3, 3), st.none() | st.integers(0, 2**256 - 1)),
    min_size=1,
    max_size=8,
)


@dataclass
class Facts:
    """What the model knows of a borrower; whole scores are minutes, which the test's own seconds cannot outweigh."""

    tier: Tier
    score: float
    health_factor: int | None

    def merged(self, news: "Facts") -> "Facts":
        """The most urgent and the newest."""
        tier, score = min((self, news), key=_urgency).tier, min((self, news), key=_urgency).score
        return Facts(tier, score, self.health_factor if news.health_factor is None else news.health_factor)


@dataclass
class Member:
    """One borrower in the model."""

    facts: Facts
    state: State = State.READY
    tries: int = 0
    token: int = 0
    news: Facts | None = field(default=None)

    def arrive(self, news: Facts) -> None:
        """An event comes in."""
        if self.state is State.LEASED:
            self.news = news if self.news is None else self.news.merged(news)
            return
        rises = TIERS.index(news.tier) < TIERS.index(self.facts.tier)
        self.facts = self.facts.merged(news)
        if self.state is not State.LATER or rises:
            self.state = State.READY

    def leave_lease(self, state: State) -> None:
        """The lease ends without success."""
        news, self.news, self.state = self.news, None, state
        if news is not None:
            self.arrive(news)


def _urgency(facts: Facts) -> tuple[int, float]:
    return TIERS.index(facts.tier), facts.score


class QueueMachine(RuleBasedStateMachine):
    """Every verb of the queue, in any order."""

    url = ""
    played = 0

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.redis = self.run(open_redis(self.url, timeout_s=5.0))
        self.run(self.redis.flushdb())
        self.queue = BorrowerQueue(self.redis, namespace=NAMESPACE, lease_s=3600, max_tries=MAX_TRIES)
        self.model: dict[str, Member] = {}
        self.claims: list[Claim] = []
        self.paused = False

    def run(self, coroutine):
        """The result of a coroutine."""
        return self.loop.run_until_complete(coroutine)

    def teardown(self) -> None:
        """Close what the machine opened."""
        type(self).played += 1
        self.run(self.redis.aclose())
        self.run(self.loop.shutdown_asyncgens())
        self.loop.close()

    def in_state(self, *states: State) -> list[str]:
        """Borrowers the model has in these states."""
        return sorted(borrower for borrower, member in self.model.items() if member.state in states)

    @rule(batch=pushes)
    def push(self, batch) -> None:
        """Known borrowers merge, also within a batch."""
        known = set(self.model)
        entries = [entry(number, score, tier, health_factor=health) for number, tier, score, health in batch]
        for pushed in entries:
            facts = Facts(pushed.tier, pushed.score, pushed.health_factor)
            if pushed.borrower in self.model:
                self.model[pushed.borrower].arrive(facts)
            else:
                self.model[pushed.borrower] = Member(facts)
        assert self.run(self.queue.push(entries)) == len(set(self.model) - known)

    @rule(count=st.integers(1, 8))
    def claim(self, count: int) -> None:
        """As many as asked for, the most urgent of the ready ones, never one that is held."""
        ready = self.in_state(State.READY)
        claims = self.run(self.queue.claim(count))
        assert len(claims) == (0 if self.paused else min(count, len(ready)))
        assert {claim.borrower for claim in claims} <= set(ready)
        for claim in claims:
            member = self.model[claim.borrower]
            assert Facts(claim.tier, claim.score, claim.health_factor) == member.facts
            assert claim.tries == member.tries
            member.state, member.token = State.LEASED, claim.token
        order = [_urgency(self.model[claim.borrower].facts) for claim in claims]
        left = [_urgency(self.model[borrower].facts) for borrower in self.in_state(State.READY)]
        assert order == sorted(order)
        assert not claims or not left or max(order) <= min(left)
        self.claims += claims

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), verb=st.sampled_from(["done", "retry", "release", "renew"]))
    def settle(self, data, verb: str) -> None:
        """Old and new claims, some twice: only the token in force counts."""
        chosen = data.draw(st.lists(st.sampled_from(self.claims), max_size=6))
        ours = []
        for claim in chosen:
            member = self.model.get(claim.borrower)
            if member and member.state is State.LEASED and member.token == claim.token and claim not in ours:
                ours.append(claim)
                self.settle_one(claim.borrower, member, verb)
        args = ["why"] if verb == "retry" else []
        assert self.run(getattr(self.queue, verb)(chosen, *args)) == ours

    def settle_one(self, borrower: str, member: Member, verb: str) -> None:
        """What one accepted claim does to the model."""
        if verb == "done":
            del self.model[borrower]
            if member.news:
                self.model[borrower] = Member(member.news)
        elif verb == "retry":
            member.tries += 1
            member.leave_lease(State.DEAD if member.tries >= MAX_TRIES else State.LATER)
        elif verb == "release":
            if member.news:
                member.facts = member.facts.merged(member.news)
            member.state, member.news = State.READY, None

    @precondition(lambda self: not self.paused and self.in_state(State.LEASED))
    @rule(data=st.data())
    def lease_ends(self, data) -> None:
        """A worker died: its borrower is ready again at the next claim."""
        borrower = data.draw(st.sampled_from(self.in_state(State.LEASED)))
        self.run(let_end(self.redis, State.LEASED, borrower))
        member = self.model[borrower]
        member.tries += 1
        member.leave_lease(State.READY)
        self.claim(1)

    @precondition(lambda self: not self.paused and self.in_state(State.LATER))
    @rule(data=st.data())
    def back_off_ends(self, data) -> None:
        """The pause of a failed borrower is over."""
        borrower = data.draw(st.sampled_from(self.in_state(State.LATER)))
        self.run(let_end(self.redis, State.LATER, borrower))
        self.model[borrower].state = State.READY
        self.claim(1)

    @rule(number=numbers)
    def requeue(self, number: int) -> None:
        """Dead and waiting ones are forgiven, others untouched."""
        member = self.model.get(address(number))
        can = member is not None and member.state in {State.LATER, State.DEAD}
        assert self.run(self.queue.requeue(address(number))) == can
        if can:
            member.state, member.tries = State.READY, 0

    @rule(number=numbers)
    def promote(self, number: int) -> None:
        """In front of everything, unless held or unknown."""
        member = self.model.get(address(number))
        can = member is not None and member.state is not State.LEASED
        assert self.run(self.queue.promote(address(number))) == can
        if can:
            member.state, member.tries = State.READY, 0
            member.facts = Facts(Tier.CRITICAL, -1000.0, member.facts.health_factor)

    @rule(tier=st.sampled_from(TIERS))
    def purge(self, tier: Tier) -> None:
        """One tier goes, except what is held."""
        gone = [b for b, m in self.model.items() if m.state is not State.LEASED and m.facts.tier is tier]
        assert self.run(self.queue.purge(tier)) == len(gone)
        for borrower in gone:
            del self.model[borrower]

    @rule()
    def pause_or_resume(self) -> None:
        """Paused, nothing is claimed."""
        self.paused = not self.paused
        self.run(self.queue.pause() if self.paused else self.queue.resume())

    @invariant()
    def nothing_is_lost(self) -> None:
        """Each borrower of the model is in exactly one place, with the facts of the model, and no other is there."""
        found = {}
        for state in State:
            for item in self.run(self.queue.ls(state)):
                assert item.borrower not in found
                assert item.state is state
                found[item.borrower] = (state, Facts(item.tier, item.score, item.health_factor), item.tries)
        expected = {borrower: (m.state, m.facts, m.tries) for borrower, m in self.model.items()}
        assert found == expected

    @invariant()
    def stats_agree(self) -> None:
        """The figures count what is there."""
        stats = self.run(self.queue.stats())
        counts = (stats.items, stats.leased, stats.dead, stats.paused)
        waiting = len(self.in_state(State.READY, State.LATER))
        assert counts == (waiting, len(self.in_state(State.LEASED)), len(self.in_state(State.DEAD)), self.paused)


@pytest.mark.timeout(1200 if LONG else 120)
def test_the_queue_does_what_the_model_does(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """2,500 random steps in CI, 30,000 with LIQ_LONG=1: none lost, one holder, no event lost, the right order."""
    for pause in ("BACK_OFF_S", "BACK_OFF_LIMIT_S"):  # on a busy machine a second passes within an example
        monkeypatch.setattr(f"liqcli.store.queue.{pause}", 3600.0)
    machine = type("Machine", (QueueMachine,), {"url": valkey.url + "?db=1"})
    rounds = 600 if LONG else 50
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=rounds,
            stateful_step_count=STEPS,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking on a real server takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert machine.played >= rounds
