"""The profile file, and how a connection finds its cluster."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from fluvio_cffi import ClusterConfig, ConfigError, LocalCluster, Profile, ProfileStore, Tls

FOREIGN = """# mine
version = "2.0"
current_profile = "old"

[profile.old]
cluster = "old"
topic = "kept"

[cluster.old]
endpoint = "old.example:9003"

[cluster.old.tls]
tls_policy = "disabled"

[cluster.old.metadata.other]
kept = true
"""


def test_add_switch_rename_delete(tmp_path: Path) -> None:
    store = ProfileStore(tmp_path / "deep" / "config")
    assert store.list() == []
    local = ClusterConfig("localhost:9003")
    secure = ClusterConfig("far.example:9003", Tls.verified(domain="far.example"), use_spu_local_address=True)
    store.add("local", local)
    store.add("far", secure)
    assert store.list() == [Profile("far", "far", secure, False), Profile("local", "local", local, True)]
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="far"):
        store.add("far", local)
    store.add("far", local, overwrite=True)
    store.switch("far")
    store.rename("far", "near")
    assert [(each.name, each.config, each.current) for each in store.list()] == [
        ("local", local, False),
        ("near", local, True),
    ]
    store.delete("near")
    assert [each.name for each in store.list()] == ["local"]
    for change in (store.switch, store.delete, lambda name: store.rename(name, "other")):
        with pytest.raises(ConfigError, match="gone"):
            change("gone")


def test_what_others_wrote_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(FOREIGN)
    store = ProfileStore(path)
    store.add("new", ClusterConfig("new.example:9003"), current=True)
    store.switch("old")
    store.delete("new")
    assert path.read_text() == FOREIGN


def test_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(FOREIGN)
    old = ClusterConfig("old.example:9003")
    assert ClusterConfig.load(path=path) == ClusterConfig.load("old", path) == old
    monkeypatch.setenv("FLV_PROFILE_PATH", str(path))
    assert ClusterConfig.load() == old
    assert ProfileStore().path == path
    with pytest.raises(ConfigError, match="new"):
        ClusterConfig.load("new")
    path.write_text("no = [toml")
    with pytest.raises(ConfigError, match="config"):
        ClusterConfig.load()
    path.unlink()
    with pytest.raises(ConfigError, match="current profile"):
        ClusterConfig.load()


async def test_what_is_said_in_the_call_wins(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments before `config`, that before the profile file, there the one that is named before the current one."""
    nowhere = ClusterConfig("127.0.0.1:1")
    store = ProfileStore(tmp_path / "config")
    monkeypatch.setenv("FLV_PROFILE_PATH", str(store.path))
    with LocalCluster() as cluster:
        here = ClusterConfig(cluster.endpoint, client_id="me")
        store.add("nowhere", nowhere)
        store.add("here", here)
        for keywords in ({"profile": "here"}, {"config": here}, {"endpoint": cluster.endpoint, "config": nowhere}):
            async with world.connect_with(**keywords, timeout=5) as client:
                assert client.endpoint == cluster.endpoint
        store.switch("here")
        async with world.connect_with() as client:
            assert client.endpoint == cluster.endpoint
        for keywords in ({"profile": "missing"}, {"profile": "here", "config": here}):
            with pytest.raises(ConfigError):
                async with world.connect_with(**keywords):
                    pass
