"""varved as a process: how it starts, what it refuses, how it ends."""

import json
import pathlib
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from testutil import v1
from testutil.api import Api, fails_with, numbered, opening, records
from testutil.varved import VARVED, Varved
from testutil.vectors import random_vectors

WAIT_SECONDS = 60
DRAIN_SECONDS = 10  # the default of --drain-seconds
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def run_varved(*flags, cwd=None) -> subprocess.CompletedProcess:
    """Runs a server that must end by itself."""
    port = [] if "--port" in flags else ["--port", "0"]
    command = [VARVED, *port, *flags]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=WAIT_SECONDS)


def http_status(server: Varved, path: str) -> int:
    try:
        url = f"http://127.0.0.1:{server.http_port}{path}"
        with urllib.request.urlopen(url, timeout=WAIT_SECONDS) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_server_starts_without_any_configuration(tmp_path):
    process = subprocess.Popen(
        [VARVED, "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        printed = process.stdout.readline()
        assert "127.0.0.1" in printed
        assert json.loads((tmp_path / "varve-data/FORMAT").read_text())["format"] == "varve"
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, log


def test_the_port_file_names_both_ports_and_standard_output_too(tmp_path):
    port_file = tmp_path / "ports.json"
    command = [VARVED, "--port", "0", "--port-file", port_file, "--data-dir", tmp_path / "data"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        printed = process.stdout.readline()
        ports = json.loads(port_file.read_text())
        assert ports.keys() == {"grpc", "http"}
        for port in ports.values():
            assert str(port) in printed
            socket.create_connection(("127.0.0.1", port), WAIT_SECONDS).close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0


def test_the_log_is_one_json_object_a_line(varved):
    with Api(varved.address) as api:
        api.create("logged", 2)
    lines = [json.loads(line) for line in varved.log.splitlines() if line.startswith("{")]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    assert any(line.get("namespace") == "logged" for line in lines)


def test_healthz_and_readyz_answer_200_while_the_server_serves(varved):
    assert http_status(varved, "/healthz") == 200
    assert http_status(varved, "/readyz") == 200


@pytest.mark.parametrize(
    "service",
    ["", *(f"varve.v1.{name}Service" for name in ("Ingest", "Query", "Namespace", "Admin"))],
)
def test_every_service_reports_its_health(api, service):
    request = health_pb2.HealthCheckRequest(service=service)
    assert api.health.Check(request, timeout=WAIT_SECONDS).status == SERVING


def test_a_second_server_on_the_same_directory_is_refused(varved):
    second = run_varved("--data-dir", varved.directory / "data")
    assert second.returncode == 1
    assert f"in use by process {varved.process.pid}" in second.stderr


def contents(directory: pathlib.Path) -> dict:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"thesis.tex": b"\\begin{document}"}, "not a Varve data directory"),
        ({"FORMAT": b'{"format": "other", "version": 1}'}, "belongs to something else"),
        ({"FORMAT": b"\x00\xff"}, "belongs to something else"),
        ({"FORMAT": b'{"format": "varve", "version": 999}'}, "format version 999"),
    ],
    ids=["foreign files", "another format", "garbage", "a newer version"],
)
def test_a_directory_of_another_kind_is_refused_and_left_as_it_was(tmp_path, files, complaint):
    directory = tmp_path / "data"
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    refused = run_varved("--data-dir", directory)
    assert refused.returncode == 1
    assert complaint in refused.stderr
    assert contents(directory) == files


@pytest.mark.parametrize("flag", ["--no-such-flag", "--port=seven", "--max-message-mib=0"])
def test_a_usage_error_exits_with_2_and_creates_nothing(tmp_path, flag):
    refused = run_varved(flag, cwd=tmp_path)
    assert refused.returncode == 2
    assert flag.split("=")[0].lstrip("-") in refused.stderr
    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_an_error_that_names_it(varved, tmp_path):
    refused = run_varved("--port", str(varved.http_port), "--data-dir", tmp_path / "other")
    assert refused.returncode == 1
    assert str(varved.http_port) in refused.stderr


class EndlessProducer:
    """Streams batches of one record for as long as it can, and counts those acknowledged."""

    def __init__(self, api: Api, namespace: str):
        self.acknowledged = 0
        self.sent = 0
        self.error: grpc.RpcError | None = None
        self.some_acknowledged = threading.Event()
        self._call = api.ingest.Ingest(self._requests(namespace), timeout=WAIT_SECONDS)
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def _requests(self, namespace: str):
        yield opening(namespace, producer="endless")
        while True:
            self.sent += 1
            vector = np.full((1, 4), self.sent, "<f4")
            yield numbered(self.sent, records([self.sent], vector))

    def _receive(self):
        try:
            for response in self._call:
                if response.HasField("ack"):
                    self.acknowledged = response.ack.number
                if self.acknowledged == 2000:
                    self.some_acknowledged.set()
        except grpc.RpcError as error:
            self.error = error

    def join(self):
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()


# So much work for the index that ingest waits for it all the time.
HELD_BACK = {"max_unindexed_rows": 1000, "ef_construction": 4096, "m": 128}


@pytest.mark.parametrize(
    ("how", "index"),
    [(signal.SIGTERM, {}), (signal.SIGINT, {}), (signal.SIGTERM, HELD_BACK)],
    ids=["SIGTERM", "SIGINT", "SIGTERM while held back"],
)
def test_a_signal_amid_ingest_ends_the_server_and_keeps_what_was_acknowledged(tmp_path, how, index):
    server = Varved(tmp_path)
    server.start()
    with Api(server.address) as api:
        api.create("n", 4, **index)
        health = api.health.Watch(health_pb2.HealthCheckRequest(), timeout=WAIT_SECONDS)
        assert next(health).status == SERVING
        producer = EndlessProducer(api, "n")
        assert producer.some_acknowledged.wait(WAIT_SECONDS)
        server.process.send_signal(how)
        assert next(health).status == NOT_SERVING
        assert server.process.wait(DRAIN_SECONDS + 5) == 0, server.log
        producer.join()
    assert producer.error.code() == grpc.StatusCode.UNAVAILABLE
    server.start()
    with Api(server.address) as api, api.open("n", producer="endless") as stream:
        kept = stream.opened.last_batch
        assert producer.acknowledged <= kept <= producer.sent
        keys, vectors = api.everything("n")
        assert keys == list(range(1, kept + 1))
        assert np.array_equal(vectors[:, 0], np.arange(1, kept + 1))
    assert server.stop() == 0


def test_while_draining_calls_are_refused_with_a_hint_when_to_retry(tmp_path):
    server = Varved(tmp_path, "--drain-seconds", "3")
    server.start()
    with Api(server.address) as api:
        api.create("n", 1)
        health = api.health.Watch(health_pb2.HealthCheckRequest(), timeout=WAIT_SECONDS)
        assert next(health).status == SERVING
        # A call that waits for a commit that never comes: it ends with the drain.
        request = v1.CountRequest(namespace="n", min_sequence=99)
        waiting = api.query.Count.future(request, timeout=WAIT_SECONDS)
        # On the same connection a later call is answered: the server has the one that waits.
        assert api.count("n") == 0
        server.process.send_signal(signal.SIGTERM)
        assert next(health).status == NOT_SERVING
        assert http_status_or_gone(server, "/readyz") in (503, None)
        with fails_with(grpc.StatusCode.UNAVAILABLE) as caught:
            api.count("n")
        # A drain with nothing to wait for is soon over: then nobody is left to give a hint.
        if "shutting down" in caught[0].message:
            assert caught[0].retry_info.retry_delay.seconds > 0
        assert server.process.wait(3 + 5) == 0, server.log
        assert waiting.exception(WAIT_SECONDS).code() in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.CANCELLED,
        )


def http_status_or_gone(server: Varved, path: str) -> int | None:
    """None when the server has closed its HTTP side already."""
    try:
        return http_status(server, path)
    except urllib.error.URLError:
        return None


def test_a_stop_does_not_wait_for_the_index(tmp_path):
    rows = 200_000
    vectors = random_vectors(80, rows, 64)
    with Varved(tmp_path) as server, Api(server.address) as api:
        api.create("n", 64)
        with api.open("n") as stream:
            for number, first in enumerate(range(0, rows, 10_000), start=1):
                stream.write(number, range(first, first + 10_000), vectors[first : first + 10_000])
        waiting = api.stats("n").namespace.unindexed_rows
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DRAIN_SECONDS + 5) == 0
        assert waiting > rows / 2
