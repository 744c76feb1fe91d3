"""The channel's capacity is real: a full one makes the sender wait and loses nothing."""

import asyncio

from liqcli.bot.channel import Channel


async def test_a_full_channel_makes_the_sender_wait():
    """The third item of a channel of two is taken only after one was."""
    channel: Channel[int] = Channel(2)
    await channel.put(1)
    await channel.put(2)
    third = asyncio.create_task(channel.put(3))
    await asyncio.sleep(0.01)
    assert (third.done(), channel.received, channel.waits) == (False, 2, 1)
    assert await channel.take(1) == [1]
    await third
    assert (channel.received, channel.high_water) == (3, 2)


async def test_everything_put_is_taken_in_order():
    """A slow receiver behind a small channel gets every item, in order."""
    channel: Channel[int] = Channel(3)
    sender = asyncio.create_task(_send(channel, 1000))
    taken: list[int] = []
    while len(taken) < 1000:
        items = await channel.take(7)
        assert len(items) <= 7
        taken += items
        channel.settle(len(items))
        await asyncio.sleep(0)
    await sender
    assert taken == list(range(1000))
    assert (channel.received, channel.taken) == (1000, 1000)


async def test_settled_waits_for_what_was_taken_but_not_dealt_with():
    """Taking is not applying: the cursor may move only after settle."""
    channel: Channel[int] = Channel(10)
    await channel.put(1)
    settled = asyncio.create_task(channel.settled())
    await channel.take(1)
    await asyncio.sleep(0.01)
    assert not settled.done()
    channel.settle(1)
    await asyncio.wait_for(settled, 1)


async def _send(channel, count):
    for number in range(count):
        await channel.put(number)
