"""No-op jobs through a task engine, in the engine's own environment: `python jobs.py NAME SOCKET COUNT`.

Prints one JSON object: jobs enqueued one by one and jobs worked off by one worker, each a second.
"""

import asyncio
import json
import sys
import time


async def arq(socket: str, count: int) -> tuple[float, float]:
    """The engine whose queue is a sorted set, like ours."""
    from arq.connections import RedisSettings, create_pool
    from arq.worker import Worker, func

    pool = await create_pool(RedisSettings(unix_socket_path=socket))
    started = time.perf_counter()
    for _ in range(count):
        await pool.enqueue_job("noop")
    enqueued = time.perf_counter()

    async def noop(_: object) -> None:
        pass

    worker = Worker(
        functions=[func(noop, name="noop")],
        redis_pool=pool,
        burst=True,
        max_jobs=100,
        poll_delay=0.01,
        keep_result=0,
        handle_signals=False,
    )
    await worker.async_run()
    return enqueued - started, time.perf_counter() - enqueued


async def taskiq(socket: str, count: int) -> tuple[float, float]:
    """A list as its queue."""
    from taskiq.api import run_receiver_task
    from taskiq_redis import ListQueueBroker

    broker = ListQueueBroker(url=f"unix://{socket}")
    done, finished = [0], asyncio.Event()

    @broker.task
    async def noop() -> None:
        done[0] += 1
        if done[0] == count:
            finished.set()

    await broker.startup()
    started = time.perf_counter()
    for _ in range(count):
        await noop.kiq()
    enqueued = time.perf_counter()
    receiving = asyncio.create_task(run_receiver_task(broker))
    await finished.wait()
    worked = time.perf_counter()
    receiving.cancel()
    return enqueued - started, worked - enqueued


def dramatiq(socket: str, count: int) -> tuple[float, float]:
    """Threads on lists, with acknowledgements."""
    import dramatiq as engine
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=f"unix://{socket}", middleware=[])
    engine.set_broker(broker)
    done = []

    @engine.actor
    def noop() -> None:
        done.append(1)

    started = time.perf_counter()
    for _ in range(count):
        noop.send()
    enqueued = time.perf_counter()
    worker = engine.Worker(broker, worker_threads=4)
    worker.start()
    while len(done) < count:
        time.sleep(0.005)
    worked = time.perf_counter()
    worker.stop()
    return enqueued - started, worked - enqueued


def main(name: str, socket: str, count: int) -> None:
    """Measure one engine."""
    if name == "dramatiq":
        enqueue_s, work_s = dramatiq(socket, count)
    else:
        enqueue_s, work_s = asyncio.run({"arq": arq, "taskiq": taskiq}[name](socket, count))
    print(json.dumps({"enqueue": count / enqueue_s, "work": count / work_s}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
