"""An embedded Fluvio cluster for tests, examples and development: the program ``fluvio-cffi-cluster`` as a child.

The program speaks the real wire protocol over real TCP sockets and keeps real files, so whatever works here works
against a Fluvio cluster; only the address changes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

from fluvio_cffi._cluster.faults import ActiveFaults, Faults
from fluvio_cffi._cluster.files import claim, remove
from fluvio_cffi._cluster.waiting import Steps, run, run_async
from fluvio_cffi._connect.config import Tls
from fluvio_cffi._errors import (
    ConfigError,
    FluvioError,
    FluvioTimeoutError,
    ResourceError,
    UsageError,
)
from fluvio_cffi._exports import publish
from fluvio_cffi._failures import brief, os_failure
from fluvio_cffi._native.lifecycle import at_end
from fluvio_cffi._values.checks import number, text, wrong_type

__all__ = ["LocalCluster"]

PROGRAM = "fluvio-cffi-cluster"
START_TIMEOUT = 10.0
STOP_TIMEOUT = 5.0
EXIT_TIMEOUT = 1.0
CONTROL_TIMEOUT = 10.0
MAX_SPUS = 1000

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_READY = re.compile(r"ready (?P<sc>\S+) spu=(?P<spu>\S+)(?: spu=\S+)*\s*")


def program() -> str:
    """The path of the cluster program: ``FLUVIO_CFFI_CLUSTER`` where it is set, else the one in the package."""
    override = os.environ.get("FLUVIO_CFFI_CLUSTER")
    path = Path(override) if override else Path(__file__).parent / "bin" / PROGRAM
    if not path.is_file():
        what = "correct FLUVIO_CFFI_CLUSTER" if override else "install the wheel, or in a checkout: make develop"
        raise ConfigError(f"the cluster program {str(path)!r} does not exist: {what}")
    return str(path)


class LocalCluster:
    """An embedded cluster of one machine, run as a child process.

    >>> with LocalCluster() as cluster:
    ...     client = Fluvio.connect(cluster.endpoint)

    ``async with`` works as well, on asyncio and trio: it waits for the program without holding up the loop. Without a
    block, ``start`` and ``stop`` do the same.

    :param data_dir: where the cluster keeps its files; created if it is missing. A second cluster on the same directory
        is refused. Without it the files are temporary: ``stop`` removes them, or else the end of this process does.
        What is left when the cluster was killed as well goes with the next start of a temporary one.
    :param spus: how many servers (SPUs) the cluster has, all in its one process. Their numbers are 5001, 5002 and so
        on; the partitions of a topic are dealt out to them in turn.
    :param host: the address to listen on. Anything but loopback can be reached, unprotected, from other machines.
    :param port: the port that clients connect to; 0 takes any free one. Started again, a cluster keeps its ports.
    :param tls: serve over TLS, with certificates that the cluster makes itself; clients connect with
        ``connect(cluster.endpoint, tls=cluster.tls)``. ``"mutual"``: clients must show a certificate, too.
    :param write_like_real: write replies in the small pieces in which the real server writes them. It costs about 40 ms
        a reply with clients that are not prepared for it; made for measuring.

    The cluster ends when this process does, however it does. What was acknowledged is in the files by then and survives
    ``kill``, but not the loss of the machine's power. One thread or task at a time starts and stops it.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        spus: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool | Literal["mutual"] | None = None,
        write_like_real: bool = False,
    ) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        number(spus, "spus", 1, MAX_SPUS)
        text(host, "host")
        number(port, "port", 0, 65535)
        if not (tls is None or isinstance(tls, bool) or tls == "mutual"):
            raise wrong_type("tls", 'True, "mutual", or left out', tls)
        # An empty one would be the current directory: more likely a variable of a shell is not set.
        folder = None if data_dir is None else text(os.fsdecode(data_dir), "data_dir", path=True)
        self._directory = None if folder is None else Path(os.path.abspath(folder))
        self._temporary: str | None = None
        self._owner: int | None = None
        self._spus = spus
        self._host = host
        self._port = port
        self._spu_port = 0
        self._tls = tls
        self._write_like_real = write_like_real
        self._endpoint: str | None = None
        self._output = b""
        self._controlling = threading.Lock()
        self._unanswered = 0
        self._messages: IO[bytes] | None = None
        self._active_faults = ActiveFaults()
        _known[id(self)] = weakref.WeakMethod(self._abandon, partial(_known.pop, id(self)))

    def __repr__(self) -> str:
        state = f"pid {self._process.pid}" if self.running and self._process is not None else "not running"
        return f"<LocalCluster {self._endpoint or 'without address'}, {state}>"

    # -- what it is

    @property
    def endpoint(self) -> str:
        """``host:port`` for ``connect``. It stays known, and valid, across ``kill`` and ``start``."""
        if self._endpoint is None:
            raise UsageError("the cluster has not been started: it has no address yet")
        return self._endpoint

    @property
    def pid(self) -> int:
        """The process id of the cluster program."""
        if self._process is None:
            raise UsageError("the cluster is not running: it has no process")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program is up; false as well once it has ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def data_dir(self) -> Path:
        """The directory with the cluster's files."""
        if self._directory is not None:
            return self._directory
        if self._temporary is None:
            raise UsageError("the cluster has not been started: it has no directory yet")
        return Path(self._temporary)

    @property
    def tls(self) -> Tls:
        """What a client needs to connect: with ``tls=True`` the CA that it trusts, with ``"mutual"`` also a certificate
        of its own, with its key.

        The files are in ``tls/`` of :attr:`data_dir`: ``ca.crt``, ``client.crt`` and ``client.key``; they stay the same
        across starts on the same directory. The server's certificate is for localhost, 127.0.0.1, ::1, the host that
        was given, and the domain ``fluvio.local`` with a name before it.
        """
        if not self._tls:
            return Tls.disabled()
        files = self.data_dir / "tls"
        if self._tls == "mutual":
            return Tls.verified(files / "ca.crt", cert=files / "client.crt", key=files / "client.key")
        return Tls.verified(files / "ca.crt")

    def profile_toml(self) -> str:
        """The text of a Fluvio profile file (``FLV_PROFILE_PATH``, ``~/.fluvio/config``) whose current profile is this
        cluster, for programs that read their address from there. With TLS it names the cluster's files.

        :raises ConfigError: their names are not UTF-8, as a profile file must be.
        """
        tls = 'tls_policy = "disabled"\n'
        if self._tls:
            files = self.data_dir / "tls"
            # JSON's strings are TOML's. The official client wants a domain, and a certificate of its own, in any case.
            paths = {"key": "client.key", "cert": "client.crt", "ca_cert": "ca.crt"}
            tls = (
                'tls_policy = "verified"\ntls_source = "files"\n\n[cluster.local.tls.certs]\ndomain = "fluvio.local"\n'
            )
            try:
                str(files).encode()
            except UnicodeEncodeError as error:
                raise ConfigError(f"the directory {str(files)!r} is not UTF-8, as a profile file must be") from error
            tls += "".join(
                f"{name} = {json.dumps(str(files / file), ensure_ascii=False)}\n" for name, file in paths.items()
            )
        return (
            'version = "2.0"\n'
            'current_profile = "local"\n'
            "\n"
            "[profile.local]\n"
            'cluster = "local"\n'
            "\n"
            "[cluster.local]\n"
            f'endpoint = "{self.endpoint}"\n'
            "use_spu_local_address = false\n"
            "\n"
            f"[cluster.local.tls]\n{tls}"
        )

    # -- starting and stopping

    def start(self) -> LocalCluster:
        """Start the program and return once it is ready to be connected to. Waits for at most 10 s.

        :raises ResourceError: the machine has no more of something that it needs, such as room for its files.
        :raises FluvioTimeoutError: it is not ready by then.
        :raises FluvioError: it does not start; the message has what it said.
        """
        run(self._starting())
        return self

    def stop(self) -> None:
        """Stop the program and remove its files if they are temporary. Does nothing when it is stopped already.

        Returns within 5 s at the latest: by then the program is killed.
        """
        run(self._stopping(STOP_TIMEOUT))
        self._remove_temporary()

    def kill(self) -> None:
        """End the program at once, as ``kill -9`` does. The files stay; ``start`` takes them and the ports up again."""
        self._kill()

    def restart(self) -> None:
        """Stop the program if it runs and start it again with the same files and ports."""
        run(self._stopping(STOP_TIMEOUT, keep=True))
        run(self._starting())

    # -- what can happen to it

    def kill_spu(self, id: int) -> None:
        """End one of the SPUs as ``kill -9`` does, while the others and the controller go on.

        Its connections are reset, its memory is dropped, and connecting to it is refused. Of the partitions that it
        leads those are led on that have a follower which is up; it and the others are offline, and its files stay.
        """
        self._command_spu("kill-spu", id)

    def start_spu(self, id: int) -> None:
        """Start an SPU that was killed, on its files and its port. It serves records when this returns."""
        self._command_spu("start-spu", id)

    @property
    def faults(self) -> Faults:
        """What else can be made to go wrong: slow, silent and broken connections, error codes, a full disk, a change of
        leader."""
        return Faults(self._control, lambda: self.running, self._spus, self._active_faults)

    def _control(self, line: str) -> None:
        """Have the program do what a line of text says; the lines are listed in ``rust-ffi/cluster/src/control.rs``.

        It returns when it is done, normally within a millisecond; until then it holds up its thread, loop included.
        """
        if not isinstance(line, str) or len(line.splitlines()) != 1:
            raise UsageError(f"a command is one line of text, not {line!r}")
        with self._controlling:
            run(self._commanding(line.strip()))

    def _command_spu(self, command: str, id: int) -> None:
        if not isinstance(id, int) or isinstance(id, bool):
            raise UsageError(f"the id of an SPU is a number, not {id!r}")
        self._control(f"{command} {id}")

    def __enter__(self) -> LocalCluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> LocalCluster:
        await run_async(self._starting())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A cancelled stop kills the program, which loses nothing that was acknowledged, and still tidies up.
        try:
            await run_async(self._stopping(STOP_TIMEOUT))
        finally:
            self._remove_temporary()

    def __del__(self) -> None:
        if self._process is not None:
            warnings.warn(f"unstopped cluster {self!r}", ResourceWarning, stacklevel=1, source=self)
            self._kill()
        if getattr(self, "_temporary", None) is not None:
            self._remove_temporary()

    # -- how

    def _command(self) -> list[str]:
        command = [program(), "--data-dir", str(self.data_dir), "--host", self._host, "--port", str(self._port)]
        command += ["--spus", str(self._spus), "--spu-port", str(self._spu_port), "--end-with-stdin", "--control"]
        if self._directory is None:
            command.append("--temporary")
        if self._tls:
            command.append("--tls-client-auth" if self._tls == "mutual" else "--tls")
        if self._write_like_real:
            command.append("--write-like-real")
        return command

    def _starting(self) -> Steps:
        if self.running:
            raise UsageError("the cluster is running already")
        self._kill()
        deadline = time.monotonic() + START_TIMEOUT
        program()
        try:
            self._spawn()
            more = True
            while True:
                ready = self._ready_line()
                if ready is not None:
                    break
                if not more:
                    raise FluvioTimeoutError(f"the cluster was not ready within {START_TIMEOUT:g} s{self._said()}")
                more = yield from self._more_output(deadline, "did not start")
        except BaseException:
            self._kill()
            if self._endpoint is None:
                self._remove_temporary()
            raise
        self._endpoint = ready["sc"]
        self._port = int(ready["sc"].rpartition(":")[2])
        self._spu_port = int(ready["spu"].rpartition(":")[2])
        self._output = b""
        self._unanswered = 0
        self._active_faults.clear()

    def _spawn(self) -> None:
        self._output = b""
        try:
            # What the program has to say must not fill a pipe that nobody reads.
            self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _kill
            if self._directory is None and self._temporary is None:
                self._temporary = tempfile.mkdtemp(prefix=f"{PROGRAM}-")
                self._owner = claim(self._temporary)
            command = self._command()
            # A session of its own: Ctrl-C in a terminal is for this process, which then stops the cluster in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._messages,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise os_failure(error, f"the cluster program {program()!r} cannot be run: {error}", FluvioError) from error

    def _ready_line(self) -> re.Match[str] | None:
        for line in self._output.splitlines(keepends=True):
            if line.endswith(b"\n") and (match := _READY.fullmatch(line.decode("utf-8", "replace"))):
                return match
        return None

    def _more_output(self, deadline: float, ended: str) -> Generator[tuple[int, float], bool, bool]:
        """Wait for more output; false when there was none in time. ``ended``: what to say of a program that has."""
        assert self._process is not None and self._process.stdout is not None
        left = deadline - time.monotonic()
        if left <= 0 or not (yield self._process.stdout.fileno(), left):
            return False
        data = os.read(self._process.stdout.fileno(), 4096)
        if not data:
            status, said = self._process.wait(), self._said()
            message = f"the cluster {ended}: exit status {status}{said}"
            numbers = _OS_ERROR.findall(said)
            if not numbers:
                raise FluvioError(message)
            cause = OSError(int(numbers[-1]), os.strerror(int(numbers[-1])))
            # Nobody else can have the port that any free one may be.
            without_port = cause.errno == errno.EADDRINUSE and self._port == 0
            raise os_failure(cause, message, ResourceError if without_port else FluvioError)
        self._output += data
        return True

    def _commanding(self, line: str) -> Steps:
        process = self._process
        if process is None:
            raise UsageError("the cluster is not running: it takes no commands")
        assert process.stdin is not None
        deadline = time.monotonic() + CONTROL_TIMEOUT
        try:
            process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            raise FluvioError(f"the cluster has ended: exit status {process.wait()}{self._said()}") from None
        # Answers that were given up earlier come first.
        self._unanswered += 1
        answer = b""
        while self._unanswered:
            while b"\n" not in self._output:
                if not (yield from self._more_output(deadline, "has ended")):
                    raise FluvioTimeoutError(
                        f"the cluster did not answer {line!r} within {CONTROL_TIMEOUT:g} s{self._said()}"
                    )
            answer, _, self._output = self._output.partition(b"\n")
            self._unanswered -= 1
        if answer != b"ok":
            raise UsageError(answer.decode("utf-8", "replace").removeprefix("error "))

    def _said(self) -> str:
        """The end of what the program wrote to its standard error, for an error message. Where that could not be kept,
        it says it with its last output."""
        if self._messages is None:
            return ""
        size = self._messages.seek(0, os.SEEK_END)
        self._messages.seek(max(0, size - 4096))
        text = (self._messages.read() or self._output).decode("utf-8", "replace").strip()
        return f": {brief(text)}" if text else ""

    def _stopping(self, seconds: float, *, keep: bool = False) -> Steps:
        """:param keep: temporary files are left for the next start."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        try:
            if keep and self._temporary is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(b"keep-files\n")
            process.stdin.close()
            # The program holds the only other end of its standard output: it is at its end when the program is.
            deadline = time.monotonic() + seconds
            runs = True
            while True:
                left = deadline - time.monotonic()
                if not runs or left <= 0 or not (yield process.stdout.fileno(), left):
                    break
                runs = os.read(process.stdout.fileno(), 4096) != b""
        finally:
            self._kill()

    def _kill(self) -> None:
        """End the program, reap it, and close what belonged to it."""
        process, self._process = self._process, None
        if process is not None:
            try:
                # One that is at its end already gets the moment that takes.
                process.wait(0.05 if process.stdin is not None and process.stdin.closed else 0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._close(process)
        elif self._messages is not None:
            self._messages.close()

    def _close(self, process: subprocess.Popen[bytes]) -> None:
        for stream in (process.stdin, process.stdout, self._messages):
            if stream is not None:
                stream.close()

    def _remove_temporary(self) -> None:
        directory, self._temporary = self._temporary, None
        if directory is not None:
            remove(directory)
        self._disown()

    def _disown(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            os.close(owner)

    def _abandon(self, forked: bool) -> None:
        """The program ends; or, in the child of a fork, the cluster is the parent's."""
        if forked:
            self._forget()
        else:
            run(self._stopping(EXIT_TIMEOUT))
            self._remove_temporary()

    def _forget(self) -> None:
        """In the child of a fork: the program's pipe must not be held open here."""
        process, self._process = self._process, None
        self._temporary = None
        self._disown()
        if process is not None:
            self._close(process)
            process.returncode = 0  # not a child of this process: nothing to wait for, nothing to warn about


# By the identity of each cluster that lives, what abandons it.
_known: dict[int, weakref.WeakMethod[Callable[[bool], None]]] = {}


def _abandon_all(forked: bool = False) -> None:
    for reference in list(_known.values()):
        abandon = reference()
        if abandon is not None:
            abandon(forked)


# Its clients have had their chance then: what they held may have been meant for these.
at_end.append(_abandon_all)
os.register_at_fork(after_in_child=partial(_abandon_all, True))


publish(__name__)
