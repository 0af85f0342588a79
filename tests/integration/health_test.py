"""varved health: what a container's health check sees of a server."""

import contextlib
import os
import socket
import subprocess
import threading

import pytest

from testutil.varved import VARVED

WAIT_SECONDS = 60


def health(*flags, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [VARVED, "health", *map(str, flags)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )


@contextlib.contextmanager
def listener(answer: bytes | None):
    """A port that gives every connection this answer; None: takes it and stays silent."""

    def serve():
        with contextlib.suppress(OSError):  # the end: the port was closed
            while True:
                connection, _ = listening.accept()
                held.append(connection)
                if answer is not None:
                    connection.recv(1 << 16)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)

    held = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT_SECONDS)
    for connection in held:
        connection.close()


def test_a_server_that_takes_calls_is_ready_and_alive(varved):
    ready = health("--http-port", varved.http_port)
    assert (ready.returncode, ready.stdout, ready.stderr) == (0, "ready\n", "")
    alive = health("--live", "--http-port", varved.http_port)
    assert (alive.returncode, alive.stdout, alive.stderr) == (0, "ok\n", "")


def test_the_port_comes_from_the_servers_own_settings(varved, tmp_path):
    config = tmp_path / "varved.toml"
    config.write_text(f"http-port = {varved.http_port}\n")
    assert health("--config", config).returncode == 0
    assert health(VARVE_HTTP_PORT=str(varved.http_port)).returncode == 0


def test_a_server_on_every_address_is_asked_on_loopback(varved):
    result = health(
        VARVE_ADDRESS="0.0.0.0",
        VARVE_ALLOW_INSECURE="true",
        VARVE_HTTP_PORT=str(varved.http_port),
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_server_that_has_stopped_is_named_by_its_port(varved):
    assert varved.stop() == 0
    for flags in ((), ("--live",)):
        result = health("--http-port", varved.http_port, *flags)
        assert (result.returncode, result.stdout) == (1, "")
        assert f"no answer from 127.0.0.1 port {varved.http_port}" in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_server_that_is_not_ready_is_not_healthy():
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\n\r\nnot ready\n"
    with listener(answer) as port:
        result = health("--http-port", port)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"127.0.0.1 port {port}/readyz says 503: not ready\n" in result.stderr


def test_a_server_that_is_silent_is_waited_for_no_longer_than_asked():
    with listener(None) as port:
        result = health("--http-port", port, "--timeout-seconds", 1)
    assert result.returncode == 1
    assert f"no answer from 127.0.0.1 port {port}/readyz" in result.stderr


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--timeout-seconds", "0"), "--timeout-seconds"),
        (("--no-such-option",), "--no-such-option"),
        (("--address", "example.com"), "is not an IP address"),
        (("--http-port", "0"), "any free port"),
    ],
)
def test_a_question_that_cannot_be_asked_exits_with_2(flags, complaint):
    result = health(*flags)
    assert result.returncode == 2
    assert complaint in result.stderr
