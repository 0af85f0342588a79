"""What a client shows to the server, and what it asks of it: API keys and TLS."""

from __future__ import annotations

import dataclasses
import os
import re
import ssl
from typing import Optional, Union

import grpc

from varve.errors import InvalidArgument

_Pem = Union[str, "os.PathLike[str]", bytes]


@dataclasses.dataclass(frozen=True)
class Tls:
    """How a connection is encrypted. Each is the path of a file in PEM, or what such a file holds, as bytes.
    Files are read when a client is made.

    `ca`: authorities, one of which signed the server's certificate; without it the system's. `cert` and
    `key`: the client's own certificate and its private key, for servers that ask for one; both or none.
    """

    ca: Optional[_Pem] = None
    cert: Optional[_Pem] = None
    key: Optional[_Pem] = dataclasses.field(default=None, repr=False)


def channel_credentials(tls: Union[bool, Tls, None]) -> Optional[grpc.ChannelCredentials]:
    """None: the connection is not encrypted."""
    if tls is None or tls is False:
        return None
    if tls is True:
        tls = Tls()
    if not isinstance(tls, Tls):
        raise InvalidArgument(f"tls must be True or a varve.Tls, is a {type(tls).__name__}")
    if (tls.cert is None) != (tls.key is None):
        raise InvalidArgument("a client's certificate and its key must be given together")
    ca = _system_authorities() if tls.ca is None else _read_authorities(tls.ca)
    if tls.cert is None or tls.key is None:
        return grpc.ssl_channel_credentials(ca)
    cert, key = _read("cert", tls.cert, "CERTIFICATE"), _read("key", tls.key, "PRIVATE KEY")
    _check_pair(tls.cert, tls.key)
    return grpc.ssl_channel_credentials(ca, key, cert)


def call_metadata(api_key: Optional[str]) -> Optional[tuple[tuple[str, str], ...]]:
    """What goes with every call; without a key, that of the environment."""
    if api_key is None:
        api_key = os.environ.get("VARVE_API_KEY", "")
    if api_key == "":
        return None
    if not re.fullmatch("[!-~]+", api_key):  # the message does not show it
        raise InvalidArgument("an API key has no spaces, line ends or characters beyond ASCII")
    return (("authorization", f"Bearer {api_key}"),)


def read_api_key(path: str) -> str:
    """The first line of a file, as `varve --api-key-file` takes it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            key = file.readline().rstrip("\n")
    except OSError as error:
        raise InvalidArgument(f"cannot read an API key from {path}: {error.strerror}") from None
    if not key:
        raise InvalidArgument(f"cannot read an API key from {path}: its first line is empty")
    return key


def _read(name: str, source: _Pem, kind: str) -> bytes:
    """PEM that has a part of this kind. No error shows what is in it."""
    if isinstance(source, bytes):
        where, data = "", source
    elif "-----BEGIN" in os.fspath(source):
        raise InvalidArgument(f"tls.{name} must be a path, or PEM as bytes, is PEM as text")
    else:
        where = f" {os.fspath(source)}"
        try:
            with open(source, "rb") as file:
                data = file.read()
        except OSError as error:
            raise InvalidArgument(f"tls.{name}: cannot read{where}: {error.strerror}") from None
    if not re.search(rb"-----BEGIN [A-Z ]*%b-----" % kind.encode(), data):
        raise InvalidArgument(f"tls.{name}{where} must be PEM with a {kind}, has none")
    return data


def _read_authorities(source: _Pem) -> bytes:
    data = _read("ca", source, "CERTIFICATE")
    try:
        ssl.create_default_context(cadata=data.decode("utf-8", "replace"))
    except ssl.SSLError as error:  # what gRPC says of them comes late, and is of no help
        raise InvalidArgument(f"tls.ca must be certificates in PEM: {error.reason}") from None
    return data


def _check_pair(cert: _Pem, key: _Pem) -> None:
    """Of files alone: ssl takes nothing else."""
    if isinstance(cert, bytes) or isinstance(key, bytes):
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise InvalidArgument(f"tls.cert and tls.key are no pair that can be used: {error}") from None


def _system_authorities() -> Optional[bytes]:
    """gRPC for Python would take those it brings along, which is right only where the system has none."""
    if "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" in os.environ:
        return None  # gRPC reads it
    authorities = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, authorities)).encode() or None
