"""A provider that mangles what it passes on: logs doubled, left out, out of order, or whole answers empty."""


class MangledRpc:
    """A node's connection whose eth_getLogs answers are mangled by `mangle(logs)`; everything else is as it was."""

    def __init__(self, rpc, mangle):
        self._rpc = rpc
        self._mangle = mangle

    def __getattr__(self, name):
        return getattr(self._rpc, name)

    async def batch(self, asked):
        """The answers, with logs mangled."""
        answers = await self._rpc.batch(asked)
        return [
            self._mangle(answer) if method == "eth_getLogs" and isinstance(answer, list) else answer
            for (method, _), answer in zip(asked, answers, strict=True)
        ]


def doubled(dice):
    """Every third log comes twice."""
    return lambda logs: [log for log in logs for _ in range(1 + (dice.random() < 0.33))]


def shuffled(dice):
    """Logs come in any order."""
    return lambda logs: dice.sample(logs, len(logs))


def dropped(dice, share=0.05):
    """This share of the logs is left out, others each time."""
    return lambda logs: [log for log in logs if dice.random() >= share]


def lost(dice, share=0.05):
    """This share of the logs is left out, the same each time: nobody will ever see them."""
    fates = {}
    return lambda logs: [
        log for log in logs if fates.setdefault((log["blockHash"], log["logIndex"]), dice.random()) >= share
    ]


def gapped(dice, share=0.2):
    """This share of the answers is empty."""
    return lambda logs: [] if dice.random() < share else logs
