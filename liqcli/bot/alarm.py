"""What is wrong in a run: said when it begins, not every second while it lasts, and once more when it is over."""

from time import monotonic

from liqcli.bot.notes import Note, Tell

_EVERY_S = 10.0


class Alarm:
    """The warnings of one run, and whether its Redis is away."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._warned_at = self._healed_at = -_EVERY_S
        self._is_redis_away = False

    def warn(self, text: str) -> None:
        """Say it, unless there was a warning a moment ago."""
        if monotonic() - self._warned_at >= _EVERY_S:
            self._warned_at = monotonic()
            self._tell(Note("warn", text))

    def redis_failed(self) -> None:
        """Keep in mind that it is away."""
        self._is_redis_away = True

    def redis_answered(self) -> None:
        """Say so if it was away; of one that comes and goes not every time."""
        if self._is_redis_away and monotonic() - self._healed_at >= _EVERY_S:
            self._healed_at = monotonic()
            self._tell(Note("healed", "Redis answers again"))
        self._is_redis_away = False
