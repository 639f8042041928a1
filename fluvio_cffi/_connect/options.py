"""Arguments of ``connect``: checked when given, and as the library takes them."""

from __future__ import annotations

import os
from typing import Final

from fluvio_cffi._connect.config import POLICIES, ClusterConfig, Tls, check_endpoint, check_tls
from fluvio_cffi._errors import ConfigError
from fluvio_cffi._native.calls import milliseconds
from fluvio_cffi._native.lifecycle import owner
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.logs import logs
from fluvio_cffi._values.checks import flag, text, wrong_type
from fluvio_cffi._values.quantities import CONNECT_TIMEOUT, Duration, Timeout, limit, parse_timeout

_WAITS: Final[dict[bool | None, int]] = {None: 0, True: 1, False: 2}


class ConnectOptions:
    """How to connect."""

    __slots__ = (
        "_client_id",
        "_profile",
        "_spu_local",
        "_tls",
        "admin_timeout",
        "endpoint",
        "request_timeout",
        "timeout",
        "wait",
    )

    def __init__(
        self,
        endpoint: str | None,
        profile: str | None,
        config: ClusterConfig | None,
        tls: Tls | None,
        client_id: str | None,
        use_spu_local_address: bool | None,
        wait: bool | None,
        timeout: Timeout,
        request_timeout: Duration,
        admin_timeout: Duration,
    ) -> None:
        self.wait: bool | None = None if wait is None else flag(wait, "wait")
        self.endpoint: str | None = None if endpoint is None else check_endpoint(endpoint)
        self._profile = None if profile is None else text(profile, "profile")
        self._client_id = None if client_id is None else text(client_id, "client_id")
        self._tls = None if tls is None else check_tls(tls)
        self._spu_local = use_spu_local_address
        if use_spu_local_address is not None:
            flag(use_spu_local_address, "use_spu_local_address")
        if config is not None:
            if not isinstance(config, ClusterConfig):
                raise wrong_type("config", "a ClusterConfig", config)
            if profile is not None:
                raise ConfigError("profile and config are both given: one of them says where the cluster is")
            self.endpoint = self.endpoint or config.endpoint
            self._client_id = self._client_id or config.client_id
            self._tls = self._tls or config.tls
            if self._spu_local is None:
                self._spu_local = config.use_spu_local_address
        self.timeout: float | None = parse_timeout(timeout, CONNECT_TIMEOUT)
        self.request_timeout: float = limit(request_timeout, "request_timeout")
        self.admin_timeout: float = limit(admin_timeout, "admin_timeout")

    def native(self) -> tuple[CData, list[CData]]:
        """``flv_client_options_t *`` and what it points to."""
        options = ffi.new("flv_client_options_t *")
        lib.flv_client_options_init(options, ffi.sizeof("flv_client_options_t"))
        texts = {"endpoint": self.endpoint, "profile": self._profile, "client_id": self._client_id}
        if self._tls is not None:
            options.tls_policy = POLICIES[self._tls.policy]
            texts |= {f"tls_{name}": getattr(self._tls, name) for name in ("domain", "ca", "cert", "key")}
        alive: list[CData] = []
        for name, value in texts.items():
            if value is not None:
                # The names of files need not be text.
                raw = os.fsencode(value) if name in ("tls_ca", "tls_cert", "tls_key") else value.encode()
                data = ffi.from_buffer("uint8_t[]", raw)
                alive.append(data)
                piece = getattr(options, name)
                piece.data = data
                piece.len = len(data)
        if self._spu_local is not None:
            options.use_spu_local_address = self._spu_local
        options.wait = _WAITS[self.wait]
        options.owner = owner()
        logs.begin()
        options.request_timeout_ms = milliseconds(self.request_timeout)
        options.admin_timeout_ms = milliseconds(self.admin_timeout)
        return options, alive
