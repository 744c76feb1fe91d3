"""What a cluster says of itself to the doctor."""

from liqcli.store.survey import survey
from tests.cluster.conftest import NAMESPACE


async def test_a_cluster_is_surveyed_like_one_server(cluster):
    """Version, policy, clock and foreign keys of the nodes that hold the market's keys."""
    server = await survey(cluster, namespace=NAMESPACE)
    assert (server.product, server.policy) == ("Valkey", "noeviction")
    assert abs(server.skew_s) < 2.0
    assert server.strangers == ()
    await cluster.set(f"{{{NAMESPACE}:leader}}", "mine")
    assert (await survey(cluster, namespace=NAMESPACE)).strangers == (f"{{{NAMESPACE}:leader}}",)
