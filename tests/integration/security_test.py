"""Keys, certificates and settings of a running server: how they are made, changed and refused."""

import datetime
import json
import socket
import ssl
import stat
import subprocess
import time

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, Api, IngestStream, fails_with, opening
from testutil.metrics import scrape
from testutil.secure import Authority, Keys, reload, wait_for_log
from testutil.varved import VARVE, VARVED, Varved

WAIT_SECONDS = 60
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
VECTOR = [[1.0, 2.0]]


def refused_to_start(*flags) -> str:
    """The error of a server that must not start."""
    command = [VARVED, "--port", "0", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert done.returncode != 0, done.stdout
    return done.stderr


def audit_lines(server: Varved) -> list[dict]:
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == "audit"]


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


class TestKeys:
    """Over connections without encryption, on loopback."""

    @pytest.fixture
    def server(self, tmp_path, keys):
        keys.add("admin", "admin")
        with Varved(tmp_path, "--api-keys", str(keys.path)) as server:
            with Api(server.address, keys.of["admin"]) as api:
                api.create("n", 2)
            yield server
        for key in keys.of.values():
            assert key not in server.log

    def test_a_key_is_rotated_under_a_running_stream(self, server, keys):
        keys.add("old", "write", "n")
        reload(server, "API keys read")
        with Api(server.address, keys.of["old"]) as old, old.open("n") as stream:
            assert stream.write(1, [1], VECTOR).records_written == 1
            keys.add("new", "write", "n")
            reload(server, "API keys read")
            assert stream.write(2, [2], VECTOR).records_written == 1
            with Api(server.address, keys.of["new"]) as new, new.open("n") as successor:
                assert successor.write(1, [3], VECTOR).records_written == 1
                told = scrape(server)
                keys.remove("old")
                reload(server, "API keys read")
                now = scrape(server)
                assert told.value("varve_api_keys", state="valid") - 1 == now.value(
                    "varve_api_keys", state="valid"
                )
                with fails_with(UNAUTHENTICATED, "was removed"):
                    stream.write(3, [4], VECTOR)
                assert successor.write(2, [5], VECTOR).records_written == 1
        with Api(server.address, keys.of["admin"]) as api:
            assert api.everything("n")[0] == [1, 2, 3, 5]

    def test_a_stream_of_searches_ends_when_its_key_is_removed(self, server, keys):
        keys.add("reader", "read")
        reload(server, "API keys read")
        with Api(server.address, keys.of["reader"]) as api:
            search = v1.SearchRequest(
                namespace="n",
                query=v1.Tensor(dtype=v1.DTYPE_F32, shape=[2], data=bytes(8)),
                options=v1.SearchOptions(k=1),
            )

            def requests():
                yield v1.SearchStreamRequest(search=search)
                keys.remove("reader")
                reload(server, "API keys read")
                yield v1.SearchStreamRequest(search=search)

            answers = api.query.SearchStream(requests(), timeout=CALL_SECONDS)
            next(answers)
            with fails_with(UNAUTHENTICATED, "was removed"):
                next(answers)

    def test_a_scan_ends_when_its_key_is_removed(self, server, keys):
        """One that is larger than what is on its way to a client that does not read."""
        keys.add("reader", "read")
        reload(server, "API keys read")
        dimension, rows, parts = 4096, 500, 8  # 64 MB
        with Api(server.address, keys.of["admin"]) as api:
            api.create("large", dimension)
            for part in range(parts):
                vectors = np.zeros((rows, dimension), "<f4")
                api.upsert("large", range(part * rows, (part + 1) * rows), vectors)
        with Api(server.address, keys.of["reader"]) as api:
            answers = api.scan("large")
            next(answers)
            keys.remove("reader")
            reload(server, "API keys read")
            with fails_with(UNAUTHENTICATED, "was removed"):
                list(answers)

    def test_a_stream_ends_when_its_key_loses_the_namespace(self, server, keys):
        keys.add("writer", "write", "n")
        reload(server, "API keys read")
        with Api(server.address, keys.of["writer"]) as api, api.open("n") as stream:
            entries = json.loads(keys.path.read_text())
            entries["keys"][-1]["namespaces"] = ["elsewhere"]
            keys.path.write_text(json.dumps(entries))
            reload(server, "API keys read")
            with fails_with(grpc.StatusCode.NOT_FOUND, 'there is no namespace "n"'):
                stream.write(1, [1], VECTOR)

    def test_a_stream_ends_when_its_key_expires(self, server, keys):
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
        keys.add("brief", "write", expires=soon.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        reload(server, "API keys read")
        with Api(server.address, keys.of["brief"]) as api:
            stream = IngestStream(api.ingest)
            with stream, fails_with(UNAUTHENTICATED, "API key brief expired at"):
                stream.send(opening("n"))
                stream.receive()
                number = 0
                while True:  # until it is refused; the call itself ends after CALL_SECONDS
                    number += 1
                    stream.write(number, [number], VECTOR)
        assert scrape(server).value("varve_api_keys", state="expired") == 1

    def test_a_file_that_is_wrong_leaves_the_keys_and_is_named(self, server, keys):
        keys.path.write_text('{"keys": [{"id": "broken"}]}')
        logged = reload(server, "API keys stay as they were")
        assert str(keys.path) in logged and "entry 1 (broken)" in logged
        with Api(server.address, keys.of["admin"]) as api:
            assert api.count("n") == 0

    def test_a_file_that_is_replaced_is_noticed_without_a_signal(self, server, keys):
        offset = len(server.log)
        keys.add("later", "read")
        wait_for_log(server, offset, "API keys read")
        with Api(server.address, keys.of["later"]) as api:
            assert api.count("n") == 0

    def test_what_admins_do_is_in_the_audit_log_and_nothing_else(self, server, keys):
        keys.add("limited", "admin", "n")
        keys.add("reader", "read")
        reload(server, "API keys read")
        before = len(audit_lines(server))
        with Api(server.address, keys.of["limited"]) as api:
            api.upsert("n", [1, 2], VECTOR * 2, rows=[{"a": 1}, {"a": 2}])
            api.delete("n", [1])
            api.delete_matching("n", "a = 2", dry_run=True)
            api.delete_matching("n", "a = 2")
            api.flush("n")
            with fails_with(grpc.StatusCode.NOT_FOUND):
                api.flush("hidden")
            with fails_with(grpc.StatusCode.PERMISSION_DENIED):
                api.create("more", 2)
            assert api.count("n") == 0
        with Api(server.address, keys.of["reader"]) as api:
            with fails_with(grpc.StatusCode.PERMISSION_DENIED):
                api.flush("n")
        with Api(server.address) as api, fails_with(UNAUTHENTICATED):
            api.flush("n")
        done = [
            (line["key"], line["method"], line["namespace"], line["outcome"])
            for line in audit_lines(server)[before:]
        ]
        assert done == [
            ("limited", "IngestService.Delete", "n", "OK"),
            ("limited", "AdminService.Flush", "n", "OK"),
            ("limited", "AdminService.Flush", "hidden", "NOT_FOUND"),
            ("limited", "NamespaceService.CreateNamespace", "more", "PERMISSION_DENIED"),
            ("reader", "AdminService.Flush", "", "PERMISSION_DENIED"),
        ]
        assert all(line["peer"].startswith("ipv4:127.0.0.1:") for line in audit_lines(server))

    def test_the_command_line_takes_the_key_from_a_file_or_the_environment(
        self, server, keys, tmp_path
    ):
        path = tmp_path / "key"
        path.write_text(keys.of["admin"] + "\n")
        words = [VARVE, "--server", server.address, "count", "n"]

        def run(*more, key=None):
            environment = {"VARVE_API_KEY": key} if key else {}
            return subprocess.run([*words, *more], env=environment, capture_output=True, text=True)

        assert run("--api-key-file", path).stdout == "0\n"
        assert run(key=keys.of["admin"]).stdout == "0\n"
        assert run("--api-key-file", path, key="wrong").stdout == "0\n"
        for failed, words_of_error in (
            (run(), "asks for an API key"),
            (run(key="wrong"), "is not known"),
            (run(key="two words"), "an API key has no spaces"),
            (run("--api-key-file", tmp_path / "absent"), "cannot read an API key"),
        ):
            assert failed.returncode == 1 and words_of_error in failed.stderr
        offered = subprocess.run([VARVE, "--help"], capture_output=True, text=True).stdout
        assert "--api-key-file" in offered and "--api-key " not in offered


def test_made_keys_are_kept_in_a_file_for_its_owner_alone(keys):
    first = keys.add("first", "read", "a", "logs-*", expires="2030-01-01T00:00:00Z")
    second = keys.add("second", "admin")
    assert first != second and first.startswith("varve_")
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    text = keys.path.read_text()
    assert first not in text and second not in text
    entry = json.loads(text)["keys"][0]
    assert (entry["id"], entry["scope"], entry["namespaces"]) == ("first", "read", ["a", "logs-*"])
    assert list(keys.path.parent.glob("keys.json*")) == [keys.path]


def test_a_key_that_cannot_be_added_is_not_printed(keys):
    keys.add("one", "read")
    before = keys.path.read_text()
    for words in (
        ["--id", "one", "--scope", "read"],
        ["--id", "two", "--scope", "read", "--namespace", "a*b"],
        ["--id", "two", "--scope", "read", "--expires", "soon"],
        ["--id", "two", "--scope", "all"],
        ["--id", "two"],
    ):
        command = [VARVED, "key", *words, "--file", keys.path]
        failed = subprocess.run(command, capture_output=True, text=True)
        assert failed.returncode != 0 and failed.stdout == "" and failed.stderr != ""
    assert keys.path.read_text() == before
    keys.path.with_name("keys.json.new").write_text("")
    command = [VARVED, "key", "--id", "two", "--scope", "read", "--file", keys.path]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1 and "another varved key is at work" in failed.stderr


class TestCertificates:
    @pytest.fixture
    def server(self, tmp_path, authority):
        certificate, key = authority.sign("server")
        flags = ["--tls-cert", str(certificate), "--tls-key", str(key)]
        with Varved(tmp_path, *flags) as server:
            yield server

    @staticmethod
    def shown(server: Varved) -> str:
        """The certificate that a new connection is shown."""
        return ssl.get_server_certificate(("127.0.0.1", server.grpc_port), timeout=WAIT_SECONDS)

    def test_who_trusts_the_authority_gets_in_and_others_do_not(self, server, authority, tmp_path):
        with Api(server.address, credentials=authority.credentials()) as api:
            api.create("n", 2)
        stranger = Authority(tmp_path, "stranger")
        with Api(server.address, credentials=stranger.credentials()) as api:
            with fails_with(UNAVAILABLE):
                api.stats()
        with Api(server.address) as api, fails_with(UNAVAILABLE):
            api.stats()

    def test_a_new_certificate_is_shown_to_new_connections_and_streams_go_on(
        self, server, authority
    ):
        with Api(server.address, credentials=authority.credentials()) as api:
            api.create("n", 2)
            with api.open("n") as stream:
                assert stream.write(1, [1], VECTOR).records_written == 1
                before = self.shown(server)
                in_a_month = time.time() + 30 * 24 * 3600
                expires = scrape(server).value("varve_certificate_expiry_timestamp_seconds")
                assert abs(expires - in_a_month) < 3600
                authority.sign("server")
                reload(server, "certificates read")
                assert self.shown(server) != before
                assert stream.write(2, [2], VECTOR).records_written == 1
                with Api(server.address, credentials=authority.credentials()) as other:
                    assert other.count("n") == 2

    def test_files_that_are_wrong_leave_the_certificate_and_are_named(
        self, server, authority, tmp_path
    ):
        before = self.shown(server)
        certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
        held = certificate.read_bytes(), key.read_bytes()
        for break_it, error in (
            (lambda: certificate.write_text("nonsense"), "holds no certificate in PEM"),
            (lambda: key.write_text("nonsense"), "holds no private key in PEM"),
            (lambda: key.write_bytes(authority.sign("else")[1].read_bytes()), "is not the private"),
            (lambda: authority.sign("server", days=-1), "the certificate expired at"),
            (lambda: certificate.unlink(), "cannot read"),
        ):
            break_it()
            assert error in reload(server, "certificates stay as they were")
            assert self.shown(server) == before
            certificate.write_bytes(held[0])
            key.write_bytes(held[1])
        # Whole again, it is taken without a signal.
        offset = len(server.log)
        certificate.write_bytes(held[0])
        wait_for_log(server, offset, "certificates read")

    def test_a_server_does_not_start_with_files_that_are_wrong(self, authority, tmp_path):
        certificate, key = authority.sign("good")
        old, old_key = authority.sign("old", days=-1)
        protected = tmp_path / "protected.key"
        subprocess.run(
            ["openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:x", "-out", protected],
            check=True,
        )
        data = ["--data-dir", tmp_path / "data"]
        for flags, error in (
            (["--tls-cert", tmp_path / "absent", "--tls-key", key], "--tls-cert: cannot read"),
            (["--tls-cert", certificate, "--tls-key", tmp_path / "absent"], "--tls-key: cannot"),
            (["--tls-cert", key, "--tls-key", key], "holds no certificate in PEM"),
            (["--tls-cert", certificate, "--tls-key", old_key], "is not the private key of"),
            (["--tls-cert", certificate, "--tls-key", protected], "without a password"),
            (["--tls-cert", old, "--tls-key", old_key], "the certificate expired at"),
            (
                ["--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", key],
                "holds no certificate in PEM",
            ),
            (["--api-keys", tmp_path / "absent"], "cannot read"),
            (["--api-keys", certificate], "is not JSON"),
            (["--tls-cert", certificate], "--tls-key"),
        ):
            assert error in refused_to_start(*data, *flags)
        assert not (tmp_path / "data").exists()

    def test_the_command_line_speaks_tls(self, server, authority, tmp_path):
        assert "version" in server.run("--tls-ca", str(authority.certificate), "stats").stdout
        failed = server.run("stats", check=False)
        assert failed.returncode == 1
        failed = server.run("--tls", "stats", check=False)
        assert failed.returncode == 1
        absent = str(tmp_path / "absent")
        failed = server.run("--tls-ca", absent, "stats", check=False)
        assert failed.returncode == 1 and f"cannot read {absent}" in failed.stderr


class TestClientCertificates:
    @pytest.fixture
    def server(self, tmp_path, authority, keys):
        certificate, key = authority.sign("server")
        keys.add("reader", "read")
        flags = ["--tls-cert", str(certificate), "--tls-key", str(key), "--log-level", "debug"]
        flags += ["--tls-client-ca", str(authority.certificate), "--api-keys", str(keys.path)]
        with Varved(tmp_path, *flags) as server:
            yield server
        secrets = [keys.of["reader"], *key.read_text().splitlines()[1:-1]]
        assert not [secret for secret in secrets if secret in server.log]

    def test_only_a_client_with_a_good_certificate_gets_in(
        self, server, authority, keys, tmp_path
    ):
        def stats(*pair):
            credentials = authority.credentials(*pair)
            with Api(server.address, keys.of["reader"], credentials) as api:
                return api.stats()

        assert stats(*authority.sign("client")).version
        for bad in (
            (),
            authority.sign("expired", days=-1),
            Authority(tmp_path, "stranger").sign("strange"),
        ):
            with fails_with(UNAVAILABLE):
                stats(*bad)

    def test_the_certificate_does_not_stand_in_for_a_key(self, server, authority):
        credentials = authority.credentials(*authority.sign("client"))
        with Api(server.address, credentials=credentials) as api, fails_with(UNAUTHENTICATED):
            api.stats()

    def test_the_command_line_shows_its_certificate(self, server, authority, keys, tmp_path):
        certificate, key = authority.sign("client")
        (tmp_path / "key").write_text(keys.of["reader"])
        words = ["--tls-ca", authority.certificate, "--api-key-file", tmp_path / "key"]
        shown = ["--tls-cert", certificate, "--tls-key", key]
        assert "version" in server.run(*map(str, [*words, *shown, "stats"])).stdout
        assert server.run(*map(str, [*words, "stats"]), check=False).returncode == 1
        failed = server.run(*map(str, [*words, *shown[:2], "stats"]), check=False)
        assert failed.returncode == 1 and "must be given together" in failed.stderr
        other = authority.sign("other")[1]
        failed = server.run(*map(str, [*words, *shown[:3], other, "stats"]), check=False)
        assert failed.returncode == 1
        assert failed.stderr.startswith(f"varve: {other} is not the private key")
        assert failed.stderr.count("\n") == 1


class TestSettings:
    def test_a_reload_applies_the_log_level_and_names_what_takes_a_restart(self, tmp_path):
        config = tmp_path / "varved.toml"
        config.write_text('log-level = "info"\nmax-calls = 100\n')
        with Varved(tmp_path, "--config", str(config)) as server:
            config.write_text('log-level = "debug"\nmax-calls = 200\n')
            logged = reload(server, "settings read again")
            assert '"setting":"max-calls"' in logged and '"setting":"log-level"' not in logged
            with Api(server.address) as api, fails_with(grpc.StatusCode.NOT_FOUND):
                api.count("absent")
            wait_for_log(server, 0, '"level":"debug"')

            config.write_text('log-level = "error"\nmax-cals = 200\n')
            logged = reload(server, "settings stay as they were")
            assert f"{config}: max-cals: there is no such setting" in logged
            with Api(server.address) as api, fails_with(grpc.StatusCode.NOT_FOUND):
                offset = len(server.log)
                api.count("absent")
            wait_for_log(server, offset, '"level":"debug"')

    def test_the_printed_settings_start_the_same_server(self, tmp_path):
        config = tmp_path / "printed.toml"
        command = [VARVED, "--max-calls", "77", "--print-config"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "max-calls=77\n" in printed and "varve-data" in printed
        config.write_text(printed)
        again = [VARVED, "--config", config, "--print-config"]
        assert subprocess.run(again, capture_output=True, text=True).stdout == printed

    def test_a_variable_that_is_no_setting_is_warned_of(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VARVE_LOG_LEVLE", "debug")
        with Varved(tmp_path) as server:
            assert '"variable":"VARVE_LOG_LEVLE"' in server.log

    def test_beyond_loopback_a_server_must_be_told_that_it_may_be_open(self, tmp_path):
        # No machine has this address: nothing is listened on.
        beyond = ["--address", "192.0.2.1", "--http-address", "127.0.0.1"]
        beyond += ["--data-dir", tmp_path / "data"]
        error = refused_to_start(*beyond)
        assert "192.0.2.1 can be reached from other machines" in error and "--allow-insecure" in error
        log = refused_to_start(*beyond, "--allow-insecure")
        assert "whoever reaches the port may read and write everything" in log
        assert "can read and change all that clients and server send" in log

    def test_http_may_listen_elsewhere_than_grpc(self, tmp_path):
        with Varved(tmp_path, "--http-address", "127.0.0.2") as server:
            socket.create_connection(("127.0.0.2", server.http_port), WAIT_SECONDS).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.http_port), WAIT_SECONDS)
