"""TLS, client certificates and API keys."""

import asyncio
import pathlib
import subprocess
import sys
import time
import traceback

import numpy as np
import pytest
from testutil.secure import Authority, Keys, reload
from testutil.varved import Varved

import varve
import varve.aio

VECTORS = np.random.default_rng(3).standard_normal((500, 8), dtype=np.float32)


class Place:
    """A server with TLS and keys, and what its clients need."""

    def __init__(self, folder: pathlib.Path, *, mutual: bool = False):
        self.folder = folder
        self.authority = Authority(folder)
        certificate, key = self.authority.sign("server")
        self.keys = Keys(folder)
        for scope in ("read", "write", "admin"):
            self.keys.add(scope, scope)
        flags = ["--tls-cert", certificate, "--tls-key", key, "--api-keys", self.keys.path]
        if mutual:
            flags += ["--tls-client-ca", self.authority.certificate]
        self.server = Varved(folder, *flags)

    @property
    def ca(self) -> pathlib.Path:
        return self.authority.certificate

    def options(self, scope: str) -> dict:
        return {"api_key": self.keys.of[scope], "tls": varve.Tls(ca=self.ca)}

    def client(self, scope: str) -> varve.Client:
        return varve.Client(self.server.address, **self.options(scope))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("secure"))
    with made.server:
        yield made


@pytest.fixture(autouse=True)
def nothing_of_the_environment(monkeypatch):
    for name in ("VARVE_API_KEY", "VARVE_TLS", "VARVE_TLS_CA", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
        monkeypatch.delenv(name, raising=False)


def test_with_certificate_and_key_every_kind_of_call_works(place, space):
    with place.client("admin") as client:
        ns = client.create_namespace(space, 8)
        ns.upsert(range(10), VECTORS[:10])
        assert ns.ingest(range(500), VECTORS, progress=False, streams=2).records_written == 500
        assert ns.search(VECTORS[7], k=1).ids == [7]
        assert sum(len(page) for page in ns.scan()) == 500
        ns.wait_indexed(progress=False)


def test_with_certificate_and_key_every_kind_of_call_can_be_awaited(place, space):
    async def body():
        async with varve.aio.Client(place.server.address, **place.options("admin")) as client:
            ns = await client.create_namespace(space, 8)
            done = await ns.ingest(range(500), VECTORS, progress=False)
            assert done.records_written == 500
            assert (await ns.search(VECTORS[7], k=1)).ids == [7]
            assert sum([len(page) async for page in ns.scan()]) == 500
            async with ns.writer() as writer:
                await writer.add([1_000], VECTORS[:1])
            await ns.wait_indexed()
        async with varve.aio.Client(place.server.address, api_key="no", tls=varve.Tls(place.ca)) as client:
            ns = client.namespace(space)
            with pytest.raises(varve.Unauthenticated):
                await ns.count()
            with pytest.raises(varve.Unauthenticated):
                [page async for page in ns.scan()]

    asyncio.run(body())


def test_a_writer_whose_stream_breaks_shows_the_key_again(tmp_path, space):
    place = Place(tmp_path)
    with place.server, place.client("admin") as client:
        ns = client.create_namespace(space, 8)
        with ns.writer(batch_size=50) as writer:
            writer.add(range(250), VECTORS[:250])
            writer.flush()
            place.server.kill()
            place.server.start()
            writer.add(range(250, 500), VECTORS[250:])
        assert writer.result.records_written == 500 == ns.count()


def test_a_writer_whose_key_is_removed_ends_at_once(tmp_path, space):
    place = Place(tmp_path)
    with place.server, place.client("admin") as admin, place.client("write") as client:
        admin.create_namespace(space, 8)
        writer = client.namespace(space).writer(batch_size=10, retry_for=10_000)
        writer.add(range(100), VECTORS[:100])
        writer.flush()
        deadline = time.monotonic() + 60
        while admin.namespace(space).count() < 100:
            assert time.monotonic() < deadline
        place.keys.remove("write")
        reload(place.server, "API keys read")
        with pytest.raises(varve.Unauthenticated) as caught:
            writer.add(range(100, 500), VECTORS[100:])
            writer.finish()
        writer.cancel()
        assert admin.namespace(space).count() == 100
    show_no_key(caught, place)


def show_no_key(caught, place):
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert not [scope for scope, key in place.keys.of.items() if key in shown]


# How to use a namespace; each is refused to whoever has no right to it.
USES = {
    "unary": lambda ns: ns.count(),
    "search": lambda ns: ns.search(VECTORS[0], k=1),
    "scan": lambda ns: list(ns.scan()),
    "watch": lambda ns: list(ns.watch_indexing()),
    "ingest": lambda ns: ns.ingest(range(500), VECTORS, progress=False, retry_for=10_000),
}


@pytest.mark.parametrize("use", USES)
def test_without_a_valid_key_every_kind_of_call_is_unauthenticated_at_once(place, use):
    for key in ("", "wrong", place.keys.of["admin"][:-1]):
        with varve.Client(place.server.address, api_key=key, tls=varve.Tls(ca=place.ca)) as client:
            with pytest.raises(varve.Unauthenticated, match="API key|Bearer") as caught:
                USES[use](client.namespace("any"))
            assert not key or key not in "".join(traceback.format_exception(caught.value))


def test_a_key_of_too_small_a_scope_is_refused_and_not_shown(place, space):
    with place.client("admin") as client:
        client.create_namespace(space, 8)
    with place.client("read") as client:
        ns = client.namespace(space)
        assert ns.count() == 0
        for refused in (
            lambda: ns.upsert([1], VECTORS[:1]),
            lambda: USES["ingest"](ns),
            lambda: client.delete_namespace(space),
        ):
            with pytest.raises(varve.PermissionDenied, match="takes a key of scope") as caught:
                refused()
            show_no_key(caught, place)


def test_the_key_is_in_no_repr(place):
    key = place.keys.of["read"]
    with place.client("read") as client:
        calls = [client._grpc, client._grpc.unary_unary("/x/y"), client._grpc.stream_stream("/x/y")]
        for thing in (client, client.namespace("any"), *calls):
            assert key not in repr(thing) + str(thing)
    assert "SECRET" not in repr(varve.Tls(cert="cert.pem", key=b"SECRET"))


def test_the_key_may_come_from_the_environment(place, monkeypatch):
    monkeypatch.setenv("VARVE_API_KEY", place.keys.of["read"])
    with varve.Client(place.server.address, tls=varve.Tls(ca=place.ca)) as client:
        client.list_namespaces()
    with varve.Client(place.server.address, api_key="", tls=varve.Tls(ca=place.ca)) as client:
        with pytest.raises(varve.Unauthenticated):
            client.list_namespaces()


def test_a_server_that_nobody_vouches_for_is_refused(place, tmp_path, monkeypatch):
    stranger = Authority(tmp_path, "stranger")
    for tls in (varve.Tls(ca=stranger.certificate), True):
        with varve.Client(place.server.address, tls=tls, api_key=place.keys.of["read"]) as client:
            with pytest.raises(varve.Unavailable, match="(?i)certificate|ssl|handshake"):
                client.list_namespaces()
            with pytest.raises(varve.Unavailable):
                client.namespace("any").writer(retry_for=0.1)
    monkeypatch.setenv("SSL_CERT_FILE", str(place.ca))  # becomes one of the system's
    with varve.Client(place.server.address, tls=True, api_key=place.keys.of["read"]) as client:
        client.list_namespaces()


def test_a_server_with_tls_has_nothing_to_say_to_a_client_without(place):
    with varve.Client(place.server.address, api_key=place.keys.of["read"]) as client:
        with pytest.raises(varve.Unavailable):
            client.list_namespaces()


def test_a_client_shows_its_certificate(tmp_path):
    place = Place(tmp_path, mutual=True)
    certificate, key = place.authority.sign("me")
    with place.server:
        for tls in (
            varve.Tls(ca=place.ca, cert=certificate, key=str(key)),
            varve.Tls(place.ca.read_bytes(), certificate.read_bytes(), key.read_bytes()),
        ):
            with varve.Client(place.server.address, api_key=place.keys.of["read"], tls=tls) as client:
                client.list_namespaces()
        with place.client("read") as client, pytest.raises(varve.Unavailable):
            client.list_namespaces()


def test_a_key_goes_over_an_unencrypted_connection_too(tmp_path):
    keys = Keys(tmp_path)
    keys.add("reader", "read")
    with Varved(tmp_path, "--api-keys", keys.path) as server:
        with varve.Client(server.address, api_key=keys.of["reader"]) as client:
            client.list_namespaces()


def test_what_is_wrong_with_keys_and_certificates_is_said(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    authority = Authority(tmp_path)
    certificate, other = authority.sign("me")[0], authority.sign("other")[1]
    private = other.read_text()
    cut = authority.certificate.read_bytes()[:200] + b"\n-----END CERTIFICATE-----\n"
    for options, message in (
        ({"api_key": "two words"}, "no spaces, line ends"),
        ({"api_key": "key\n"}, "no spaces, line ends"),
        ({"tls": "ca.pem"}, "True or a varve.Tls, is a str"),
        ({"tls": varve.Tls(ca=tmp_path / "none.pem")}, "tls.ca: cannot read .*none.pem: No such file"),
        ({"tls": varve.Tls(ca=tmp_path / "empty.pem")}, "tls.ca .*empty.pem must be PEM with a CERTIFICATE"),
        ({"tls": varve.Tls(ca=cut)}, "tls.ca must be certificates in PEM"),
        ({"tls": varve.Tls(cert=authority.certificate)}, "given together"),
        ({"tls": varve.Tls(cert=certificate, key=other)}, "are no pair that can be used"),
        ({"tls": varve.Tls(cert=authority.certificate, key=authority.certificate)}, "with a PRIVATE KEY"),
        ({"tls": varve.Tls(cert=authority.certificate, key=private)}, "PEM as bytes, is PEM as text"),
    ):
        for kind in (varve.Client, varve.aio.Client):
            with pytest.raises(varve.InvalidArgument, match=message) as caught:
                kind("127.0.0.1:1", **options)
            assert "two words" not in str(caught.value)
            assert private[40:80] not in str(caught.value)


def test_import_and_export_take_a_key_and_a_certificate(place, space, tmp_path, monkeypatch):
    key_file, vectors, back = tmp_path / "my.key", tmp_path / "in.npy", tmp_path / "out.jsonl"
    key_file.write_text(place.keys.of["admin"] + "\n")
    np.save(vectors, VECTORS)
    monkeypatch.setenv("VARVE_SERVER", place.server.address)

    def run(command, *arguments):
        command = [sys.executable, "-m", "varve", command, *map(str, arguments), "--quiet"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    security = ["--tls-ca", place.ca, "--api-key-file", key_file]
    done = run("import", vectors, "--namespace", space, "--create", *security)
    assert done.returncode == 0, done.stderr
    done = run("export", space, back, *security)
    assert done.returncode == 0, done.stderr
    assert len(back.read_text().splitlines()) == 500

    done = run("export", space, back, "--tls-ca", place.ca)
    assert done.returncode == 1 and "API key" in done.stderr
    done = run("export", space, back, "--tls-ca", place.ca, "--api-key-file", tmp_path / "none")
    assert done.returncode == 1 and "cannot read an API key from" in done.stderr
    monkeypatch.setenv("VARVE_TLS_CA", str(place.ca))
    monkeypatch.setenv("VARVE_API_KEY", place.keys.of["read"])
    assert run("export", space, back).returncode == 0
    done = run("import", vectors, "--namespace", space)
    assert done.returncode == 1 and "takes a key of scope write" in done.stderr
    assert place.keys.of["read"] not in done.stderr
    monkeypatch.delenv("VARVE_TLS_CA")
    monkeypatch.setenv("SSL_CERT_FILE", str(place.ca))
    assert run("export", space, back, "--tls").returncode == 0
