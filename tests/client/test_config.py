"""Configuration: what wins over what, and the profile file."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import strangers
from conftest import World

from fluvio_cffi import (
    ClusterConfig,
    ConfigError,
    Fluvio,
    FluvioConnectionError,
    LocalCluster,
    Profile,
    ProfileStore,
    Tls,
)
from fluvio_cffi._connect.options import ConnectOptions

FILE = """\
# Written by hand.
version = "2.0"
current_profile = "prod"   # as usual

[owner]                    # somebody else's
team = "orders"

[profile.prod]
cluster = "prod"
topic = "orders"

[profile.reports]
cluster = "prod"

[profile.lost]
cluster = "nowhere"

[cluster.prod]
endpoint = "prod.example:9003"
color = "blue"             # nobody knows why

[cluster.prod.tls]
tls_policy = "verified"
tls_source = "files"

[cluster.prod.tls.certs]
domain = "fluvio.example"
key = "/etc/fluvio/client.key"
cert = "/etc/fluvio/client.crt"
ca_cert = "/etc/fluvio/ca.crt"

[cluster.prod.metadata.installation]
type = "k8s"

[cluster.old]
addr = "old:9003"          # an earlier name of endpoint
use_spu_local_address = true

[profile.old]
cluster = "old"
"""
PROD = Tls.verified("/etc/fluvio/ca.crt", "fluvio.example", "/etc/fluvio/client.crt", "/etc/fluvio/client.key")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(FILE, encoding="utf-8")
    return path


# -- reading


def test_list(file: Path) -> None:
    prod = ClusterConfig("prod.example:9003", PROD)
    assert ProfileStore(file).list() == [
        Profile("lost", "nowhere", None, False),
        Profile("old", "old", ClusterConfig("old:9003", use_spu_local_address=True), False),
        Profile("prod", "prod", prod, True),
        Profile("reports", "prod", prod, False),
    ]


def test_load(file: Path) -> None:
    assert ClusterConfig.load(path=file) == ClusterConfig.load("reports", str(file))
    assert ClusterConfig.load(path=file).tls == PROD
    assert ClusterConfig.load("old", file).use_spu_local_address
    with pytest.raises(ConfigError, match="no profile 'none'; it has: 'lost', 'old', 'prod', 'reports'"):
        ClusterConfig.load("none", file)
    with pytest.raises(ConfigError, match="'lost' names cluster 'nowhere', which is not in"):
        ClusterConfig.load("lost", file)
    with pytest.raises(ConfigError, match="does not exist"):
        ClusterConfig.load(path=file.parent / "missing")


def test_where_the_file_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLV_PROFILE_PATH", str(file))
    assert ProfileStore().path == file
    assert ClusterConfig.load().endpoint == "prod.example:9003"
    monkeypatch.delenv("FLV_PROFILE_PATH")
    monkeypatch.setenv("HOME", str(file.parent))
    assert ProfileStore().path == file.parent / ".fluvio" / "config"
    ProfileStore().add("first", ClusterConfig("first:1"))
    assert ClusterConfig.load() == ClusterConfig("first:1")
    assert repr(ProfileStore()) == f"ProfileStore({str(ProfileStore().path)!r})"


@pytest.mark.parametrize(
    ("text", "line"),
    (
        ('version = "2.0"\n[profile]\n[cluster.a]\nendpoint = "a:1"\nendpoint = "SECRET"\n', 5),
        ('version = "2.0"\n[profile]\n[cluster.a.tls.certs]\nkey = """SECRET\n', 5),
        ('version = "2.0"\n[profile]\n[cluster.a]\nendpoint = 7 # SECRET\n', 4),
        ("[profile]\n", 1),
    ),
)
def test_a_file_that_is_not_one(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    for use in (
        ProfileStore(path).list,
        lambda: ProfileStore(path).switch("a"),
        lambda: ProfileStore(path).add("b", ClusterConfig("b:1")),
    ):
        with pytest.raises(ConfigError, match=f"line {line}") as raised:
            use()
        assert str(path) in str(raised.value)
        assert "SECRET" not in str(raised.value)
    assert path.read_text() == text


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        ProfileStore(tmp_path).list()
    with pytest.raises(ConfigError, match="cannot be"):
        ProfileStore(tmp_path).add("a", ClusterConfig("a:1"))


# -- changing


def changed(file: Path) -> list[str]:
    """The lines that were added (+) and removed (-)."""
    before, after = FILE.splitlines(), file.read_text(encoding="utf-8").splitlines()
    return [f"-{line}" for line in before if line not in after] + [f"+{line}" for line in after if line not in before]


def test_switch_changes_one_line(file: Path) -> None:
    ProfileStore(file).switch("old")
    assert changed(file) == ['-current_profile = "prod"   # as usual', '+current_profile = "old"   # as usual']
    assert [profile.name for profile in ProfileStore(file).list() if profile.current] == ["old"]


def test_rename(file: Path) -> None:
    ProfileStore(file).rename("prod", "production")
    assert changed(file) == [
        '-current_profile = "prod"   # as usual',
        "-[profile.prod]",
        '+current_profile = "production"   # as usual',
        "+[profile.production]",
    ]
    assert ClusterConfig.load(path=file).endpoint == "prod.example:9003"


def test_delete(file: Path) -> None:
    store = ProfileStore(file)
    store.delete("reports")
    assert changed(file) == ["-[profile.reports]"]
    assert "[cluster.prod]" in file.read_text()
    store.delete("prod")
    text = file.read_text()
    assert "prod" not in text and "current_profile" not in text
    assert "# somebody else's" in text and "[cluster.old]" in text
    assert [profile.name for profile in store.list()] == ["lost", "old"]


def test_add(file: Path) -> None:
    ProfileStore(file).add("dev", ClusterConfig("localhost:9003", Tls.anonymous(), use_spu_local_address=True))
    assert changed(file) == [
        "+[cluster.dev]",
        '+endpoint = "localhost:9003"',
        "+[cluster.dev.tls]",
        '+tls_policy = "anonymous"',
        "+[profile.dev]",
        '+cluster = "dev"',
    ]
    assert ClusterConfig.load(path=file).endpoint == "prod.example:9003"
    ProfileStore(file).add("new", ClusterConfig("new:1"), current=True)
    assert ClusterConfig.load(path=file) == ClusterConfig("new:1")


def test_overwrite_keeps_what_others_wrote(file: Path) -> None:
    store = ProfileStore(file)
    for name in ("prod", "old"):
        with pytest.raises(ConfigError, match=f'profile or a cluster "{name}" already'):
            store.add(name, ClusterConfig("x:1"))
        store.add(name, ClusterConfig("x:1"), overwrite=True)
        assert ClusterConfig.load(name, file) == ClusterConfig("x:1")
    text = file.read_text()
    for kept in (
        'topic = "orders"',
        'color = "blue"             # nobody knows why',
        'type = "k8s"',
        'team = "orders"',
    ):
        assert kept in text
    assert "addr =" not in text and "/etc" not in text
    assert ClusterConfig.load("reports", file) == ClusterConfig("x:1")


@pytest.mark.parametrize(
    "tls",
    (
        Tls.disabled(),
        Tls.anonymous(),
        Tls.verified(),
        Tls.verified("/ca"),
        PROD,
        Tls.verified("-----BEGIN CERTIFICATE-----\n'''\"\\\n", cert="-----BEGIN x\n", key="-----BEGIN ä\n"),
    ),
    ids=range(6),
)
def test_what_is_written_is_read(tmp_path: Path, tls: Tls) -> None:
    for name in ("a", 'dotted.name "quoted" ü'):
        config = ClusterConfig("[::1]:9003", tls)
        ProfileStore(tmp_path / "config").add(name, config, current=True)
        assert ClusterConfig.load(path=tmp_path / "config") == config


def test_paths_are_absolute(tmp_path: Path) -> None:
    ProfileStore(tmp_path / "config").add("a", ClusterConfig("a:1", Tls.verified("ca.crt")))
    assert ClusterConfig.load(path=tmp_path / "config").tls == Tls.verified(os.path.abspath("ca.crt"))


def test_refused(file: Path) -> None:
    store = ProfileStore(file)
    mixed = Tls.verified("/ca", cert="-----BEGIN x\n", key="/key")
    use: Callable[[], object]
    for use, words in (
        (lambda: store.switch("none"), 'no profile "none"'),
        (lambda: store.delete("none"), 'no profile "none"'),
        (lambda: store.rename("none", "x"), 'no profile "none"'),
        (lambda: store.rename("prod", "old"), 'profile "old" already'),
        (lambda: store.rename("prod", "a\nb"), "text of one line"),
        (lambda: store.switch(""), "is empty"),
        (lambda: store.add("a", "a:1"), "must be a ClusterConfig"),  # type: ignore[arg-type]
        (lambda: store.add("a", ClusterConfig("a:1", mixed)), "either paths or PEM text"),
    ):
        with pytest.raises(ConfigError, match=words):
            use()
    assert file.read_text() == FILE


def test_permissions_and_links(tmp_path: Path) -> None:
    target, link = tmp_path / "real" / "config", tmp_path / "config"
    ProfileStore(target).add("a", ClusterConfig("a:1"))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.chmod(0o640)
    link.symlink_to(target)
    ProfileStore(link).add("b", ClusterConfig("b:1"))
    assert link.is_symlink() and stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [profile.name for profile in ProfileStore(target).list()] == ["a", "b"]
    assert [path.name for path in target.parent.iterdir()] == ["config"]


ADD = """
import sys
from fluvio_cffi import ClusterConfig, ProfileStore
for number in range(15):
    ProfileStore(sys.argv[1]).add(f"{sys.argv[2]}-{number}", ClusterConfig("a:1"))
"""


def test_two_programs_at_once(file: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", ADD, str(file), name]) for name in "abc"]
    while any(each.poll() is None for each in running):
        ProfileStore(file).list()  # whole at any time
    assert [each.returncode for each in running] == [0, 0, 0]
    assert len(ProfileStore(file).list()) == 4 + 45


# -- what wins


def settled(*arguments: Any, **keywords: Any) -> tuple[Any, ...]:
    """What the library is asked for: endpoint, profile, client id, local addresses, TLS."""
    names = ("endpoint", "profile", "config", "tls", "client_id", "use_spu_local_address")
    given: dict[str, Any] = dict.fromkeys(names) | dict(zip(names, arguments, strict=False)) | keywords
    limits: dict[str, Any] = {"timeout": ..., "request_timeout": 10.0, "admin_timeout": 30.0}
    options, _alive = ConnectOptions(**given, wait=None, **limits).native()
    from fluvio_cffi._native.loader import ffi

    texts = (
        bytes(ffi.buffer(each.data, each.len)).decode() if each.len else None
        for each in (options.endpoint, options.profile, options.client_id)
    )
    return (*texts, options.use_spu_local_address, options.tls_policy)


def test_arguments_win_over_the_config() -> None:
    config = ClusterConfig("config:1", Tls.anonymous(), client_id="from-config", use_spu_local_address=True)
    assert settled(config=config) == ("config:1", None, "from-config", 1, 2)
    given = settled("given:1", config=config, tls=Tls.disabled(), client_id="given", use_spu_local_address=False)
    assert given == ("given:1", None, "given", 0, 1)
    assert settled(config=ClusterConfig("config:1")) == ("config:1", None, None, 0, 1)
    assert settled("given:1") == ("given:1", None, None, 2, 0)
    assert settled(profile="dev", tls=Tls.anonymous()) == (None, "dev", None, 2, 2)
    with pytest.raises(ConfigError, match="profile and config are both given"):
        settled(profile="dev", config=config)
    with pytest.raises(ConfigError, match="must be a ClusterConfig, not 'host:1'"):
        settled(config="host:1")


def test_config_is_checked_when_made() -> None:
    for arguments, words in (
        (("host",), "endpoint"),
        (("host:0",), "endpoint"),
        ((7,), "endpoint"),
        (("host:1", "verified"), "tls must be"),
        (("host:1", Tls.disabled(), ""), "client_id"),
    ):
        with pytest.raises(ConfigError, match=words):
            ClusterConfig(*arguments)
    config = ClusterConfig("host:1", Tls.anonymous())
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(AttributeError):
        config.endpoint = "other:1"  # type: ignore[misc]


@pytest.mark.parametrize("tls", (None, True, "mutual"))
async def test_profile_of_the_embedded_cluster(
    world: World, tls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    monkeypatch.setenv("FLV_PROFILE_PATH", str(path))
    with LocalCluster(tls=tls, spus=2) as cluster:
        path.write_text(cluster.profile_toml())
        ProfileStore().add("nowhere", ClusterConfig("127.0.0.1:1"), current=True)
        ProfileStore().rename("local", "here")
        wrong = Tls.verified("/nothing")
        for keywords in (
            {"profile": "here"},
            {"config": ClusterConfig.load("here")},
            {"config": ClusterConfig("127.0.0.1:1", wrong), "endpoint": cluster.endpoint, "tls": cluster.tls},
            # An endpoint wins over that of the profile, whose TLS stays.
            {"profile": "here", "endpoint": cluster.endpoint.replace("127.0.0.1", "localhost")},
        ):
            arguments = {key: value for key, value in keywords.items() if key != "endpoint"}
            async with connect(world, keywords.get("endpoint"), **arguments) as client:
                topic = await world.topic(client, partitions=2)
                async with client.producer(topic) as producer:
                    assert (await producer.send(b"x")).offset == 0
        with pytest.raises(FluvioConnectionError, match=r"127\.0\.0\.1:1: "):
            await connect(world, None, timeout=2)  # the current one
        with pytest.raises(ConfigError, match='no profile "local"'):
            await connect(world, None, profile="local")


def connect(world: World, endpoint: Any, **keywords: Any) -> Any:
    from conftest import PlainOpening

    from fluvio_cffi import AsyncFluvio

    if world.is_sync:
        return PlainOpening(lambda: Fluvio.connect(endpoint, **keywords))
    return AsyncFluvio.connect(endpoint, **keywords)


@contextmanager
def first_bytes() -> Iterator[tuple[str, list[bytes]]]:
    """What the first client says first."""
    heard: list[bytes] = []
    with strangers.listen() as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(4096))

        thread = threading.Thread(target=serve)
        thread.start()
        yield strangers.endpoint(listener), heard
        thread.join()


async def test_client_id_is_said(world: World) -> None:
    for keywords, name in (
        ({}, b"fluvio-cffi"),
        ({"client_id": "me"}, b"me"),
    ):
        with first_bytes() as (endpoint, heard), pytest.raises(FluvioConnectionError):
            await world.connect(endpoint, timeout=5, **keywords)
        assert len(name).to_bytes(2, "big") + name in heard[0]
