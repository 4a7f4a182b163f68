"""The same rows from a real Ray cluster of two machines, both on the loopback of this one."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pandas
import pytest

from emoscope import batch
from emoscope.batch.cluster import cut
from emoscope.batch.inputs import Item
from emoscope.errors import OptionError
from emoscope.settings import ROOT, Settings
from tests.test_batch import write_clips

CLUSTER = """
import json, os, secrets, subprocess, sys, warnings
from pathlib import Path

def main(folder, out):
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_AUTH_MODE="token")
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    from ray.cluster_utils import Cluster

    from emoscope import batch
    from emoscope.settings import Settings

    size = {"num_cpus": 1, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    cluster.add_node(**size)
    cluster.wait_for_nodes()
    job = batch.Job(Path(out), engine="ray", address=cluster.address, together=4)
    listening = set()

    def tell(tally):
        listening.add(subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True).stdout)

    tally = batch.run(batch.find([folder]), job, Settings(threads=1), tell=tell)
    cluster.shutdown()
    print(json.dumps({"done": tally.done, "failed": tally.failed, "listening": sorted(listening)}))

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


def items(count):
    return [(index, Item(f"{index}.wav", ROOT / f"{index}.wav")) for index in range(count)]


@pytest.mark.parametrize(("count", "together", "actors"), [(1, 4, 2), (50, 4, 2), (1000, 8, 3), (7, 100, 1)])
def test_shards_hold_whole_batches_and_everything_once(count, together, actors):
    shards = cut(items(count)[1:], together, actors) if count > 1 else cut(items(count), together, actors)
    places = [index for shard in shards for index, _ in shard]
    assert places == list(range(min(1, count - 1), count))
    owners = {}
    for number, shard in enumerate(shards):
        for index, _ in shard:
            assert owners.setdefault(index // together, number) == number
    assert len(shards) >= min(actors, -(-count // together) - 1)


def test_without_ray_a_sentence_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_BACKEND_LOG_LEVEL", "RAY_ADDRESS"):
        monkeypatch.setenv(name, "")
    job = batch.Job(tmp_path / "rows.parquet", engine="ray", address="127.0.0.1:1")
    with pytest.raises(OptionError, match=r"pip install -c constraints\.txt -r requirements-ray\.txt"):
        batch.run(batch.find([str(write_clips(tmp_path / "clips", 1))]), job, Settings())
    assert not (tmp_path / "rows.parquet.parts").exists()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is an extra: requirements-ray.txt")
def test_a_cluster_gives_the_rows_of_the_local_engine(tmp_path):
    folder = write_clips(tmp_path / "clips", 22)
    (folder / "bad.wav").write_text("no sound")
    local = batch.run(
        batch.find([str(folder)]), batch.Job(tmp_path / "local.parquet", workers=1, together=4), Settings(threads=1)
    )
    (tmp_path / "cluster.py").write_text(CLUSTER)
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "cluster.py", str(folder), "ray.parquet"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert (told["done"], told["failed"]) == (local.done, local.failed) == (23, 1)
    pandas.testing.assert_frame_equal(
        pandas.read_parquet(tmp_path / "ray.parquet").drop(columns="seconds"),
        pandas.read_parquet(local.out).drop(columns="seconds"),
        check_exact=True,
    )
    ours = [line for text in told["listening"] for line in text.splitlines() if re.search(r"ray|gcs_server", line)]
    assert ours
    for line in ours:
        assert re.search(r"(127\.0\.0\.1|\[::ffff:127\.0\.0\.1\]|\[::1\]):\d+ ", line), line
