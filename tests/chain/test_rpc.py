import asyncio
import json
import re
import socket
from time import monotonic

import pytest

from liqcli.chain.rpc import NoAnswer, Rpc, RpcError
from liqcli.errors import Reverted, Unreachable
from tests.chain.servers import good, http, in_turn, node, rpc

HTML = "<html><body>Bad Gateway</body></html>"


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def failure_of(url, method="eth_blockNumber", *, timeout_s=2.0):
    """The error one call ends in."""
    async with Rpc(url, timeout_s=timeout_s) as client:
        with pytest.raises(Unreachable) as caught:
            await client.call(method)
    return caught.value


async def test_refused_connection_is_said_with_tries_and_time():
    """A refused connection fails at once, on the first try, with the mistake's text and a hint to type."""
    port = free_port()
    error = await failure_of(f"http://127.0.0.1:{port}")
    assert re.fullmatch(
        rf"cannot reach the RPC at http://127\.0\.0\.1:{port} \(connection refused, 1 try, \d+ ms\)", str(error)
    )
    assert "liq COMMAND --rpc URL" in error.hint
    assert "export LIQ_RPC__URL=" in error.hint
    assert (error.code, error.exit_code) == ("unreachable", 4)


async def test_unknown_host_is_named():
    """A host that does not resolve is said to be no host, without a retry."""
    assert "no such host, 1 try" in str(await failure_of("http://no-such-host.invalid"))


async def test_silent_node_ends_at_the_deadline():
    """A node that takes the request and never answers costs one deadline, not more."""
    async with node(lambda _: None) as (url, _):
        started = monotonic()
        error = await failure_of(url, timeout_s=0.3)
    assert monotonic() - started < 1.0
    assert "timed out, 1 try" in str(error)
    assert error.timed_out


async def test_html_page_is_not_an_answer():
    """A gateway's HTML page is retried and then named with its status."""
    async with node(lambda _: http(HTML, status="502 Bad Gateway")) as (url, requests):
        error = await failure_of(url)
    assert "HTTP 502 Bad Gateway with an HTML page, 4 tries" in str(error)
    assert (error.status, len(requests)) == (502, 4)


async def test_read_survives_two_bad_answers():
    """A read that meets a 502 and a cut body succeeds on its third try."""
    cut = http('{"jsonrpc":"2.0","id":1,"res', length=900)
    answers = in_turn(http(HTML, status="502 Bad Gateway"), cut, good("0x2a"))
    async with node(answers) as (url, requests), Rpc(url) as client:
        assert await client.block_number() == 42
        assert (client.requests, client.errors) == (3, 2)
    assert len(requests) == 3


@pytest.mark.parametrize("method", ["eth_sendRawTransaction", "evm_mine", "anvil_setBalance"])
async def test_what_changes_the_chain_is_sent_once(method):
    """A call that may have taken effect is never sent again, whatever came back."""
    async with node(lambda _: http(HTML, status="502 Bad Gateway")) as (url, requests):
        error = await failure_of(url, method)
    assert "1 try" in str(error)
    assert len(requests) == 1


async def test_rate_limit_is_waited_for():
    """HTTP 429 with Retry-After is obeyed before the next try."""
    busy = http("slow down", status="429 Too Many Requests", headers=["Retry-After: 1"])
    async with node(in_turn(busy, good("0x1"))) as (url, requests), Rpc(url, timeout_s=5) as client:
        started = monotonic()
        assert await client.block_number() == 1
    assert 1.0 <= monotonic() - started < 3.0
    assert len(requests) == 2


async def test_rate_limit_beyond_the_deadline_fails_at_once():
    """A wait longer than the deadline is not begun."""
    busy = http("slow down", status="429 Too Many Requests", headers=["Retry-After: 60"])
    async with node(lambda _: busy) as (url, _):
        started = monotonic()
        error = await failure_of(url)
    assert monotonic() - started < 1.0
    assert (error.status, "HTTP 429 Too Many Requests, 1 try" in str(error)) == (429, True)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("", "HTTP 200 with an empty body"),
        ('{"jsonrpc":"2.0","id', "HTTP 200 with a cut or malformed JSON body"),
        (HTML, "HTTP 200 with an HTML page"),
        ('{"jsonrpc":"2.0","id":999999,"result":"0x1"}', "the answer carries the id of another request"),
        ("[]", "the answer has another shape than the request"),
        ('"hello"', "HTTP 200 OK, but no JSON-RPC answer"),
        ('{"id":1}', "HTTP 200 OK, but no JSON-RPC answer"),
    ],
)
async def test_answer_that_is_none_is_named(body, cause):
    """Whatever is not an answer to this very request is unreachable with its cause, never a value."""
    async with node(lambda _: http(body)) as (url, _):
        assert cause in str(await failure_of(url))


async def test_cut_body_is_named():
    """A body shorter than promised is a fault of the connection."""
    async with node(lambda _: http('{"jsonrpc":"2.0","id":1,"result"', length=500)) as (url, _):
        assert "the body was cut, 4 tries" in str(await failure_of(url))


async def test_closed_connection_is_named():
    """A connection closed before any answer is said to be that."""
    async with node(lambda _: b"") as (url, _):
        assert "the connection was closed before the answer" in str(await failure_of(url))


async def test_redirect_is_not_followed():
    """A redirect could carry the URL's key to another host: it is an error instead."""
    moved = http("", status="307 Temporary Redirect", headers=["Location: http://127.0.0.1:9/"])
    async with node(lambda _: moved) as (url, requests):
        error = await failure_of(url)
    assert (error.status, len(requests)) == (307, 1)


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Internal Server Error"])
async def test_error_object_keeps_code_and_data(status):
    """An error object is the node's own word, whatever HTTP status it came under."""

    def refuse(request):
        error = {"code": -32005, "message": "query returned more than 10000 results", "data": {"to": "0x9"}}
        return http(json.dumps(rpc(id=request["id"], error=error)), status=status)

    async with node(refuse) as (url, requests):
        error = await failure_of(url, "eth_getLogs")
    assert isinstance(error, RpcError)
    assert (error.rpc_code, error.data, len(requests)) == (-32005, {"to": "0x9"}, 1)
    assert "refused eth_getLogs: query returned more than 10000 results (code -32005)" in str(error)


def reverting(data, *, code=3, message="execution reverted"):
    """A node that reverts every call."""
    return lambda request: http(
        json.dumps(rpc(id=request["id"], error={"code": code, "message": message, "data": data}))
    )


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (
            reverting(
                "0x08c379a0" + f"{32:064x}" + f"{2:064x}" + b"45".hex().ljust(64, "0"),
            ),
            "HealthFactorNotBelowThreshold",
        ),
        (reverting("0x930bb771"), "HealthFactorNotBelowThreshold"),
        (reverting({"data": "0xb629b0e4"}, code=-32000), "MustNotLeaveDust"),
        (reverting("0x4e487b71" + f"{0x11:064x}"), "Panic(0x11)"),
        (reverting("0xdeadbeef"), "0xdeadbeef"),
        (reverting(None, code=-32000, message="execution reverted: paused for lunch"), "execution reverted: paused"),
    ],
)
async def test_revert_carries_the_protocols_name(respond, reason):
    """A refused call is Reverted with the protocol's own name for the reason, in every shape nodes give it."""
    async with node(respond) as (url, _), Rpc(url) as client:
        with pytest.raises(Reverted) as caught:
            await client.call("eth_call", {"to": "0x" + "11" * 20}, "latest")
        assert caught.value.reason.startswith(reason)
        assert client.errors == 0


async def test_batch_restores_the_order():
    """Answers in any order come back in the order of the calls, over as many requests as the batch size asks."""

    def backwards(request):
        return http(json.dumps([rpc(id=item["id"], result=item["params"][0]) for item in reversed(request)]))

    async with node(backwards) as (url, requests), Rpc(url, batch_size=3) as client:
        assert await client.batch([("eth_getBalance", [number]) for number in range(7)]) == list(range(7))
    assert [len(request) for request in requests] == [3, 3, 1]


async def test_bad_item_leaves_the_rest_of_a_batch():
    """An error, a revert and a missing item stand in their places; the others keep their results."""

    def mixed(request):
        answers = [
            rpc(id=request[0]["id"], result="0x1"),
            rpc(id=request[1]["id"], error={"code": -32601, "message": "no such method"}),
            rpc(id=request[2]["id"], error={"code": 3, "message": "reverted", "data": "0xd37f5f1c"}),
        ]
        return http(json.dumps(answers))

    async with node(mixed) as (url, _), Rpc(url) as client:
        first, second, third, fourth = await client.batch([("eth_call", [])] * 4)
    assert first == "0x1"
    assert isinstance(second, RpcError)
    assert isinstance(third, Reverted)
    assert third.reason == "ReservePaused"
    assert isinstance(fourth, Unreachable)
    assert "left eth_call out of its answer" in str(fourth)


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda ids: [ids[0], ids[0]], "the answer carries an id twice"),
        (lambda ids: [ids[0], 10**9], "the answer carries the id of another request"),
        (lambda ids: [ids[0], str(ids[1])], "the answer carries the id of another request"),
        (lambda ids: [ids[0], None], "the answer carries the id of another request"),
    ],
)
async def test_batch_with_wrong_ids_is_refused_whole(spoil, cause):
    """When ids do not fit, no answer can be trusted to belong to its call."""

    def confused(request):
        ids = spoil([item["id"] for item in request])
        return http(json.dumps([rpc(id=number, result="0x1") for number in ids]))

    async with node(confused) as (url, _), Rpc(url) as client:
        with pytest.raises(Unreachable, match=cause):
            await client.batch([("eth_blockNumber", [])] * 2)


async def test_batch_refused_as_one_is_an_error_of_the_node():
    """One error object for a whole batch is raised: none of its calls has an answer."""
    refusal = json.dumps(rpc(id=None, error={"code": -32600, "message": "batch too large"}))
    async with node(lambda _: http(refusal)) as (url, _), Rpc(url) as client:
        with pytest.raises(RpcError, match="batch too large"):
            await client.batch([("eth_blockNumber", [])] * 2)


async def test_batch_that_sends_is_sent_once():
    """One sending call in a batch is enough for the batch never to be repeated."""
    async with node(lambda _: http(HTML, status="502 Bad Gateway")) as (url, requests), Rpc(url) as client:
        with pytest.raises(NoAnswer):
            await client.batch([("eth_blockNumber", []), ("eth_sendRawTransaction", ["0x"])])
    assert len(requests) == 1


async def test_keys_in_the_url_are_never_shown():
    """Path, query and credentials appear in no message, repr or cause, even when the node echoes them."""

    def echo(request):
        message = "no access for s3cretpath with quer1value as us3rname:passw0rd"
        return http(json.dumps(rpc(id=request["id"], error={"code": -32000, "message": message})))

    async with node(echo) as (url, _):
        host = url.removeprefix("http://")
        shown = []
        for address in (host, f"127.0.0.1:{free_port()}"):
            client = Rpc(f"http://us3rname:passw0rd@{address}/v2/s3cretpath?token=quer1value", timeout_s=1.0)
            async with client:
                with pytest.raises(Unreachable) as caught:
                    await client.call("eth_blockNumber")
            error = caught.value
            shown += [str(error), repr(error), error.hint, repr(client), repr(error.__cause__)]
    everything = " ".join(shown)
    assert f"http://{host}/..." in everything
    for secret in ("s3cretpath", "quer1value", "us3rname", "passw0rd"):
        assert secret not in everything


async def test_hostile_text_from_the_node_is_only_text():
    """Control and direction characters in a node's message never reach the terminal."""
    message = "\x1b[31mred\x1b[0m \u202egnorw\x07"
    refusal = http(json.dumps(rpc(id=None, error={"code": -1, "message": message})))
    async with node(lambda _: refusal) as (url, _):
        error = await failure_of(url)
    assert not set(str(error)) & set("\x1b\u202e\x07")


async def test_number_that_is_none_is_refused():
    """A block number that is not a number is unreachable, not zero."""
    async with node(good(None)) as (url, _), Rpc(url) as client:
        with pytest.raises(Unreachable, match="answered eth_blockNumber with 'None', not a number"):
            await client.block_number()


async def test_deadline_covers_all_tries():
    """Retries share one deadline: slow failures end in time, with the cause that was seen."""
    async with node(lambda _: http(HTML, status="503 Service Unavailable")) as (url, _):
        started = monotonic()
        error = await failure_of(url, timeout_s=0.2)
    assert monotonic() - started < 0.8
    assert "HTTP 503 Service Unavailable" in str(error)


async def test_parallel_calls_get_their_own_answers():
    """A hundred calls at once on one session each get the answer to their own parameters."""

    def echo(request):
        return http(json.dumps(rpc(id=request["id"], result=request["params"][0])))

    async with node(echo) as (url, _), Rpc(url) as client:
        answers = await asyncio.gather(*(client.call("eth_getBalance", number) for number in range(100)))
    assert answers == list(range(100))
