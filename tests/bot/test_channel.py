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
    assert (third.done(), channel.received, channel.waits, len(channel)) == (False, 2, 1, 2)
    assert await channel.take() == (1, 1)
    await third
    assert (channel.received, channel.high_water) == (3, 2)


async def test_an_item_fills_as_much_as_the_events_it_stands_for():
    """Two batches of three do not fit into five slots together."""
    channel: Channel[str] = Channel(5)
    await channel.put("first", size=3)
    second = asyncio.create_task(channel.put("second", size=3))
    await asyncio.sleep(0.01)
    assert not second.done()
    assert await channel.take() == ("first", 3)
    await second
    assert channel.received == 6


async def test_an_item_larger_than_the_channel_passes_alone():
    """It is not stuck for ever, and nothing passes beside it."""
    channel: Channel[str] = Channel(2)
    await channel.put("large", size=9)
    beside = asyncio.create_task(channel.put("small"))
    await asyncio.sleep(0.01)
    assert not beside.done()
    assert await channel.take() == ("large", 9)
    await beside


async def test_everything_put_is_taken_in_order():
    """A slow receiver behind a small channel gets every item, in order."""
    channel: Channel[int] = Channel(3)
    sender = asyncio.create_task(_send(channel, 1000))
    taken: list[int] = []
    while len(taken) < 1000:
        item, size = await channel.take()
        taken.append(item)
        await channel.settle(size)
    await sender
    assert taken == list(range(1000))
    assert channel.received == 1000


async def test_settled_waits_for_what_was_taken_but_not_dealt_with():
    """Taking is not applying."""
    channel: Channel[int] = Channel(10)
    await channel.put(1)
    settled = asyncio.create_task(channel.settled())
    await channel.take()
    await asyncio.sleep(0.01)
    assert not settled.done()
    await channel.settle(1)
    await asyncio.wait_for(settled, 1)


async def _send(channel, count):
    for number in range(count):
        await channel.put(number)


async def test_everything_that_waits_is_taken_at_once():
    """However many items wait, they come together and in order, and their room is free again."""
    channel = Channel(5)
    await channel.put("first", size=2)
    await channel.put("second", size=3)
    assert await channel.take_all() == (["first", "second"], 5)
    await channel.put("third", size=5)
    assert len(channel) == 5
    await channel.settle(5)
    assert await channel.take_all() == (["third"], 5)
