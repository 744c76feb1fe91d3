"""Crashes at chosen I/O calls of the real sender: its RPC client and its journal, counted together."""

from itertools import count

from liqcli.chain.rpc import Rpc
from liqcli.errors import Unreachable
from liqcli.wallet.journal import Journal


class Crash(Exception):
    """The process dies here: nothing after this line happens."""


class Faults:
    """Counts the moments before and after each I/O call, and crashes at one of them."""

    def __init__(self, crash_at=None):
        self.crash_at = crash_at
        self._moments = count()
        self.passed = 0

    def moment(self):
        """One moment in which the process can die."""
        self.passed = next(self._moments)
        if self.passed == self.crash_at:
            raise Crash

    @property
    def crashed(self):
        """Whether the chosen moment came."""
        return self.crash_at is not None and self.passed == self.crash_at


class FaultyRpc(Rpc):
    """The real client; `faults` may end the process around each call, `each_look` moves the chain before a look."""

    def __init__(self, url):
        super().__init__(url, timeout_s=20.0)
        self.faults = Faults()
        self.sent = []
        self.each_look = None
        self.loses_replies = False

    async def call(self, method, *params):
        self.faults.moment()
        if method == "eth_sendRawTransaction":
            self.sent.append(params[0])
        result = await super().call(method, *params)
        self.faults.moment()
        if method == "eth_sendRawTransaction" and self.loses_replies:
            raise Unreachable("the reply was lost")
        return result

    async def batch(self, calls):
        self.faults.moment()
        if self.each_look is not None and calls[0][0] == "eth_getTransactionCount":
            await self.each_look()
        result = await super().batch(calls)
        self.faults.moment()
        return result


class FaultyJournal(Journal):
    """The real journal; what was written and not synced when the process dies is kept, lost or torn."""

    def __init__(self, path, faults, *, unsynced):
        self.faults = faults
        self.unsynced = unsynced
        super().__init__(path)

    def _write(self, line):
        self.faults.moment()
        super()._write(line)
        self._die_or_go_on(len(line))

    def _sync(self):
        super()._sync()
        self.faults.moment()

    def _die_or_go_on(self, length):
        """Between write and fsync the kernel alone decides what the disk gets."""
        try:
            self.faults.moment()
        except Crash:
            kept = {"kept": length, "lost": 0, "torn": length // 2}[self.unsynced]
            with self.path.open("r+b") as file:
                file.truncate(self._size + kept)
            raise
