"""How a cluster is reached: TLS, and the profile file that the ``fluvio`` program and this library share."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from fluvio_cffi._errors import ConfigError, ConfigTypeError
from fluvio_cffi._native.calls import Slice, copy_buffer
from fluvio_cffi._native.errors import raise_status
from fluvio_cffi._native.loader import ffi, lib
from fluvio_cffi._values.checks import flag, kind, shown, text, wrong_type, wrong_value

TlsPolicy: TypeAlias = Literal["disabled", "anonymous", "verified"]

POLICIES: Final[dict[TlsPolicy, int]] = {
    "disabled": lib.FLV_TLS_POLICY_DISABLED,
    "anonymous": lib.FLV_TLS_POLICY_ANONYMOUS,
    "verified": lib.FLV_TLS_POLICY_VERIFIED,
}
_HOST: Final = re.compile(r"[^\s/@]+")
_PORT: Final = re.compile(r"[0-9]{1,5}")


def _pem(value: str | os.PathLike[str] | None, name: str) -> str | None:
    if value is None:
        return None
    try:
        found = os.fspath(value)
    except TypeError:
        found = None
    # What was given may be a key: it is not shown.
    if not isinstance(found, str):
        raise ConfigTypeError(f"tls: {name} must be a path or PEM text, not {kind(value)}")
    if not found:
        raise ConfigError(f"tls: {name} is empty: it must be a path or PEM text")
    return found


def _shown(value: str) -> str:
    """A path; of PEM text only that it is."""
    return "<PEM text>" if "\n" in value or "-----BEGIN " in value else repr(value)


@dataclass(frozen=True, repr=False)
class Tls:
    """How the connections of a client are protected. Made by :meth:`disabled`, :meth:`anonymous` or :meth:`verified`.

    Its ``repr`` shows paths, never PEM text. A pickle of it holds all of it.
    """

    policy: TlsPolicy
    domain: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise wrong_value("tls: policy", self.policy, f"one of {', '.join(map(repr, POLICIES))}")
        if self.policy != "verified" and (self.domain, self.ca, self.cert, self.key) != (None,) * 4:
            raise ConfigError(f"tls: domain, ca, cert and key are for Tls.verified(), not for {self.policy!r}")
        if (self.cert is None) != (self.key is None):
            given, missing = ("cert", "key") if self.key is None else ("key", "cert")
            raise ConfigError(f"tls: {given} is given without {missing}: they belong together")

    @classmethod
    def disabled(cls) -> Tls:
        """Plain TCP."""
        return cls("disabled")

    @classmethod
    def anonymous(cls) -> Tls:
        """Encrypted, but whom it talks to is not checked: whoever is in the way can read and change everything."""
        return cls("anonymous")

    @classmethod
    def verified(
        cls,
        ca: str | os.PathLike[str] | None = None,
        domain: str | None = None,
        cert: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> Tls:
        """Encrypted, with the server's certificate checked. Files are read when the client connects, not again.

        :param ca: the certificates of the CAs to trust: the path of a PEM file, or the text itself. Left out: those
            that the system trusts.
        :param domain: the name in the certificate of the cluster's SC. That of an SPU must have the SPU's name and a
            dot before it, such as ``custom-spu-5001.fluvio.local``. Left out: the host that is connected to, for the SC
            and for each SPU.
        :param cert: the client's own certificate, for servers that ask: a path, or PEM text.
        :param key: its private key, not encrypted: PKCS#8, SEC1 or PKCS#1; a path, or PEM text.
        """
        if domain is not None:
            text(domain, "tls: domain")
        return cls("verified", domain, _pem(ca, "ca"), _pem(cert, "cert"), _pem(key, "key"))

    def __repr__(self) -> str:
        if self.policy != "verified":
            return f"Tls.{self.policy}()"
        pems = {"ca": self.ca, "cert": self.cert, "key": self.key}
        shown = [f"{name}={_shown(value)}" for name, value in pems.items() if value is not None]
        if self.domain is not None:
            shown.append(f"domain={self.domain!r}")
        return f"Tls.verified({', '.join(shown)})"


def check_endpoint(endpoint: str) -> str:
    """``"host:port"``, checked."""
    host, _, port = text(endpoint, "endpoint").rpartition(":")
    if not _HOST.fullmatch(host) or not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise wrong_value("endpoint", endpoint, '"host:port" and no more, such as "127.0.0.1:9003"')
    return endpoint


def check_tls(tls: Tls) -> Tls:
    """Settings of TLS, checked."""
    if not isinstance(tls, Tls):
        raise wrong_type("tls", "Tls.disabled(), Tls.anonymous() or Tls.verified(...)", tls)
    return tls


@dataclass(frozen=True)
class ClusterConfig:
    """How a cluster is reached, for ``connect(config=...)`` and for profiles.

    :param endpoint: ``"host:port"`` of its SC.
    :param tls: how connections are protected.
    :param client_id: how the client calls itself; not part of a profile.
    :param use_spu_local_address: whether to use the addresses that SPUs have inside of their network.
    """

    endpoint: str
    tls: Tls = field(default_factory=Tls.disabled)
    client_id: str | None = None
    use_spu_local_address: bool = False

    def __post_init__(self) -> None:
        check_endpoint(self.endpoint)
        check_tls(self.tls)
        if self.client_id is not None:
            text(self.client_id, "client_id")

    @classmethod
    def load(cls, profile: str | None = None, path: str | os.PathLike[str] | None = None) -> ClusterConfig:
        """Read it from a profile file.

        :param profile: the profile's name; left out: the current one.
        :param path: the file; left out: ``FLV_PROFILE_PATH``, else ``~/.fluvio/config``.
        :raises ConfigError: there is no such profile, or the file is not usable.
        """
        store = ProfileStore(path)
        profiles = store.list()
        wanted = [each for each in profiles if (each.current if profile is None else each.name == profile)]
        if not wanted:
            file = f"the profile file {str(store.path)!r}"
            if not profiles and not store.path.exists():
                raise ConfigError(f"{file} does not exist; give an endpoint, or say in FLV_PROFILE_PATH where it is")
            names = ", ".join(shown(each.name) for each in profiles[:5]) or "none"
            more = f" and {len(profiles) - 5} more" if len(profiles) > 5 else ""
            if profile is None:
                raise ConfigError(
                    f"{file} has no current profile; name one (it has: {names}{more}), or give an endpoint"
                )
            raise ConfigError(f"{file} has no profile {shown(profile)}; it has: {names}{more}")
        if wanted[0].config is None:
            what = f"profile {wanted[0].name!r} names cluster {wanted[0].cluster!r}"
            raise ConfigError(f"{what}, which is not in {str(store.path)!r}: add it")
        return wanted[0].config


@dataclass(frozen=True)
class Profile:
    """A profile of the profile file.

    :ivar name: its name.
    :ivar cluster: the name of its cluster.
    :ivar config: how that is reached; ``None``: the file does not say.
    :ivar current: whether it is the one that is used when none is named.
    """

    name: str
    cluster: str
    config: ClusterConfig | None
    current: bool


class ProfileStore:
    """The profile file, which the ``fluvio`` program and this library share.

    Changes keep what else is in the file: comments, order, tables and keys of others. The file is replaced as a whole,
    so readers see the old or the new one, and two programs that use this class do not lose each other's changes. A file
    that is made here can be read by its owner alone, as keys may be in it. Each method reads the file anew; any thread.

    :param path: the file, which need not exist yet; left out: ``FLV_PROFILE_PATH``, else ``~/.fluvio/config``.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        try:
            self._path = "" if path is None else text(os.fspath(path), "path", path=True)
        except TypeError as error:
            raise wrong_type("path", "a str or os.PathLike", path) from error

    @property
    def path(self) -> Path:
        """Where the file is, or will be.

        :raises ConfigError: there is no home directory to find it in.
        """
        if self._path:
            return Path(self._path)
        found = os.environ.get("FLV_PROFILE_PATH")
        if found is not None:
            return Path(found)
        try:
            return Path.home() / ".fluvio" / "config"
        except RuntimeError as error:
            raise ConfigError(
                "there is no home directory to find .fluvio/config in; set FLV_PROFILE_PATH, or give an endpoint"
            ) from error

    def __repr__(self) -> str:
        try:
            return f"ProfileStore({str(self.path)!r})"
        except ConfigError:
            return "ProfileStore()"

    def list(self) -> list[Profile]:
        """All profiles, by name; none if the file does not exist.

        :raises ConfigError: the file is not usable.
        """
        buffer, error = ffi.new("flv_buffer_t **"), ffi.new("flv_error_t **")
        path = Slice(os.fsencode(self.path))
        raise_status(lib.flv_profiles_read(path.value, buffer, error), error)
        document: Any = json.loads(copy_buffer(ffi.gc(buffer[0], lib.flv_buffer_free)))
        return [
            Profile(each["name"], each["cluster"], _config(each["config"]), each["name"] == document["current"])
            for each in document["profiles"]
        ]

    def add(self, name: str, config: ClusterConfig, *, overwrite: bool = False, current: bool = False) -> None:
        """Add a profile, and a cluster of the same name.

        PEM text is written into the file, paths are made absolute. The format has no place for ``client_id``.

        :param overwrite: change a profile or a cluster of that name instead of refusing.
        :param current: make it the current profile; the first one is in any case.
        :raises ConfigError: the name is taken, or the file is not usable.
        """
        if not isinstance(config, ClusterConfig):
            raise wrong_type("config", "a ClusterConfig", config)
        tls = config.tls
        document: dict[str, object] = {
            "endpoint": config.endpoint,
            "use_spu_local_address": config.use_spu_local_address,
            "tls": {"policy": tls.policy},
        }
        if tls.policy == "verified":
            document["tls"] = {
                "policy": tls.policy,
                "domain": tls.domain,
                "ca": tls.ca,
                "cert": tls.cert,
                "key": tls.key,
            }
        try:
            body = Slice(json.dumps(document, ensure_ascii=False))
        except UnicodeEncodeError as error:
            raise ConfigError("tls: a profile cannot hold a path that is not UTF-8: give PEM text") from error
        self._change(lib.flv_profiles_add, name, body.value, flag(overwrite, "overwrite"), flag(current, "current"))

    def switch(self, name: str) -> None:
        """Make a profile the current one.

        :raises ConfigError: there is no such profile, or the file is not usable.
        """
        self._change(lib.flv_profiles_switch, name)

    def rename(self, name: str, to: str) -> None:
        """Give a profile another name. Its cluster keeps its own.

        :raises ConfigError: there is no such profile, the new name is taken, or the file is not usable.
        """
        new = Slice(text(to, "to"))
        self._change(lib.flv_profiles_rename, name, new.value)

    def delete(self, name: str) -> None:
        """Remove a profile, and its cluster unless another profile uses that.

        :raises ConfigError: there is no such profile, or the file is not usable.
        """
        self._change(lib.flv_profiles_delete, name)

    def _change(self, function: Any, name: str, *arguments: object) -> None:
        path, key, error = Slice(os.fsencode(self.path)), Slice(text(name, "name")), ffi.new("flv_error_t **")
        raise_status(function(path.value, key.value, *arguments, error), error)


def _config(document: dict[str, Any] | None) -> ClusterConfig | None:
    if document is None:
        return None
    tls = Tls(**document["tls"])
    return ClusterConfig(document["endpoint"], tls, use_spu_local_address=document["use_spu_local_address"])
