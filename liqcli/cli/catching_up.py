"""A book brought to the head of its chain for a command, with a progress bar where somebody watches."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from liqcli.cli.connect import Target
from liqcli.cli.render import is_ascii_only, say
from liqcli.config import Settings
from liqcli.lock import holder_of

if TYPE_CHECKING:
    from liqcli.book.follow import Follower
    from liqcli.book.opening import Progress
    from liqcli.chain.market import Market


async def caught_up(market: "Market", settings: Settings, target: Target) -> "Follower":
    """The market's book at the newest block, from its checkpoint or from the market's first block."""
    from liqcli.book.follow import Follower
    from liqcli.book.opening import catch_up, checkpoint_path, identity_of, open_book

    path = checkpoint_path(settings.data_dir, identity_of(market))
    book = await open_book(market, path, first_block=target.first_block, tell=say)
    follower = Follower(market, book, window_blocks=settings.rpc.log_window_blocks)
    last, _ = await market.head()
    with showing(last - book.cursor) as show:
        await catch_up(follower, last, path=saved_at(path, settings), on_progress=show)
    return follower


def saved_at(path: Path, settings: Settings) -> Path | None:
    """Where to save the book; None when a running bot keeps it, or when the chain ends with this command."""
    sandbox, run = holder_of(settings.data_dir, "sandbox") or {}, holder_of(settings.data_dir, "run")
    ends_with_us = sandbox.get("pid") == os.getpid()
    is_anothers = run is not None and run.get("pid") != os.getpid()
    return None if ends_with_us or is_anothers else path


def save(follower: "Follower", settings: Settings) -> None:
    """Save the book, unless a bot keeps it or its chain is about to end."""
    from liqcli.book.checkpoint import save_checkpoint
    from liqcli.book.opening import checkpoint_path

    path = saved_at(checkpoint_path(settings.data_dir, follower.book.identity), settings)
    if path is not None:
        save_checkpoint(follower.book, path)


@contextmanager
def showing(blocks: int) -> Iterator[Callable[["Progress"], None]]:
    """A bar with rate and time to go on a terminal; nothing elsewhere, and nothing for a short way."""
    if not sys.stderr.isatty() or blocks < 2:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    plain = is_ascii_only(sys.stderr)
    bars, between = ((), "|") if plain else ((BarColumn(),), "·")
    columns = (TextColumn("reading logs"), *bars, MofNCompleteColumn(), TextColumn("{task.fields[facts]}"))
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=blocks, facts="")

        def show(done: "Progress") -> None:
            facts = f"{done.blocks_per_s:,.0f} blocks/s {between} {done.accounts:,} accounts"
            bar.update(task, completed=done.block - done.first + 1, facts=facts)

        yield show
