"""Memory streams keep the contract of every Trio stream, and their faults are those of a real path."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mmtrio.exchange.memory_streams import (
    Direction,
    MemoryNetwork,
    MemoryStream,
    memory_link,
    memory_pipe,
    open_memory_network,
)
from tests.support.determinism import run_seeded, scenario


@pytest.mark.parametrize("seed", range(3))
def test_the_contract_of_streams_is_kept(seed: int) -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        return memory_pipe()

    async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
        link = memory_link(buffer_bytes_max=1)
        for pipe in (link.to_server, link.to_client):
            pipe.put_nowait(b"x")  # Full in both directions: every send has to wait.
        return link.client, link.server

    async def check() -> None:
        with trio.fail_after(60):
            await trio.testing.check_half_closeable_stream(make, make_clogged)

    run_seeded(seed, check)


@scenario
async def test_a_sender_waits_for_a_reader_who_does_not_read() -> None:
    client, server = memory_pipe(buffer_bytes_max=1000)
    with trio.move_on_after(5) as waiting:
        await client.send_all(b"x" * 1001)
    assert waiting.cancelled_caught
    assert len(await server.receive_some()) == 1000
    with trio.fail_after(1):
        await client.send_all(b"x" * 1000)


@scenario
async def test_a_cut_resets_both_ends_and_loses_what_was_on_its_way() -> None:
    link = memory_link()
    await link.client.send_all(b"lost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_broken, link.client.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        link.cut()
    await _expect_broken(link.server.receive_some)
    await _expect_broken(lambda: link.server.send_all(b"x"))
    assert link.to_server.bytes_sent == 4
    assert link.to_server.bytes_delivered == 0


@scenario
async def test_a_cut_reaches_both_ends_of_a_stalled_link() -> None:
    link = memory_link()
    link.stall()
    link.cut()
    await _expect_broken(link.client.receive_some)
    await _expect_broken(link.server.receive_some)


@scenario
async def test_a_cut_frees_a_sender_who_waits_for_room() -> None:
    link = memory_link(buffer_bytes_max=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_broken, lambda: link.client.send_all(b"x" * 100))
        await trio.testing.wait_all_tasks_blocked()
        link.cut()


@scenario
async def test_a_clean_close_comes_after_the_last_byte() -> None:
    link = memory_link()
    await link.server.send_all(b"all")
    link.close_clean()
    assert await link.client.receive_some() == b"all"
    assert await link.client.receive_some() == b""
    await _expect_broken(lambda: link.client.send_all(b"x"))


@scenario
async def test_a_stall_holds_bytes_of_one_direction_and_closes_nothing() -> None:
    link = memory_link()
    link.stall(Direction.TO_CLIENT)
    await link.server.send_all(b"held")
    await link.client.send_all(b"through")
    assert await link.server.receive_some() == b"through"
    with trio.move_on_after(600) as silence:
        await link.client.receive_some()
    assert silence.cancelled_caught
    link.resume()
    assert await link.client.receive_some() == b"held"
    assert link.to_client.last_delivered_at_s == 600


@scenario
async def test_a_stalled_client_does_not_learn_that_the_venue_is_gone() -> None:
    link = memory_link(buffer_bytes_max=10)
    link.stall(Direction.TO_CLIENT)
    link.server.abort()
    with trio.fail_after(1):
        for _ in range(5):
            await link.client.send_all(b"into the void")
    link.resume()
    await _expect_broken(lambda: link.client.send_all(b"x"))
    await _expect_broken(link.client.receive_some)


@scenario
async def test_an_abort_reads_as_a_reset_and_a_close_as_the_end() -> None:
    client, server = memory_pipe()
    server.abort()
    await _expect_broken(client.receive_some)
    client, server = memory_pipe()
    await server.aclose()
    assert await client.receive_some() == b""


@scenario
async def test_bytes_arrive_after_their_delay_and_in_order_where_it_shrinks() -> None:
    link = memory_link()
    link.to_server.delay_s = 2.0
    await link.client.send_all(b"slow ")
    link.to_server.delay_s = 0.5
    await link.client.send_all(b"fast")
    await link.client.aclose()
    received = b""
    while piece := await link.server.receive_some():
        received += piece
        assert trio.current_time() == 2.0
    assert received == b"slow fast"


async def _echo(stream: MemoryStream) -> None:
    try:
        while data := await stream.receive_some():
            await stream.send_all(data)
    except trio.BrokenResourceError:
        pass


async def _says(network: MemoryNetwork, stream: MemoryStream) -> bytes:
    await stream.send_all(b"hello")
    return await stream.receive_some()


@scenario
async def test_a_network_refuses_hangs_stalls_and_recovers() -> None:
    async with open_memory_network(_echo) as network:
        first = await network.connect("rest")
        assert await _says(network, first) == b"hello"
        network.refuse()
        with pytest.raises(OSError, match="refused"):
            await network.connect()
        assert await _says(network, first) == b"hello", "open connections live on"
        network.refuse(False)
        network.hang()
        with trio.move_on_after(10) as hanging:
            await network.connect()
        assert hanging.cancelled_caught
        network.hang(False)
        network.stall_all()
        second = await network.connect("market")
        with trio.move_on_after(10) as silence:
            await _says(network, second)
        assert silence.cancelled_caught
        network.resume_all()
        assert await second.receive_some() == b"hello"
        network.cut_all()
        await _expect_broken(second.receive_some)
        assert [link.kind for link in network.links] == ["rest", "market"]
        assert network.refused_count == 1


@scenario
async def test_a_network_that_ends_resets_its_clients() -> None:
    async with open_memory_network(_echo) as network:
        client = await network.connect()
    await _expect_broken(client.receive_some)


async def _expect_broken(act) -> None:
    with pytest.raises(trio.BrokenResourceError), trio.fail_after(60):
        await act()
