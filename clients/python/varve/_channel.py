"""The connection to a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, Union

import grpc
import grpc.aio

from varve import _credentials
from varve.errors import InvalidArgument

# Seconds.
DEFAULT_TIMEOUT = 60.0
# Larger answers fail with ResourceExhausted.
_RECEIVE_BYTES_MAX = 64 << 20

_OPTIONS = [
    ("grpc.max_receive_message_length", _RECEIVE_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    # gRPC's own pauses between attempts to connect are for services with many servers.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


class Channel:
    """A connection of gRPC's, blocking or for asyncio, whose every call says who the caller is."""

    def __init__(self, channel: Any, metadata: Optional[tuple[tuple[str, str], ...]]):
        self.close = channel.close
        self._grpc = channel
        self._metadata = metadata

    def unary_unary(self, method: str, **codecs: Any) -> Callable[..., Any]:
        return self._with_metadata(self._grpc.unary_unary(method, **codecs))

    def unary_stream(self, method: str, **codecs: Any) -> Callable[..., Any]:
        return self._with_metadata(self._grpc.unary_stream(method, **codecs))

    def stream_stream(self, method: str, **codecs: Any) -> Callable[..., Any]:
        return self._with_metadata(self._grpc.stream_stream(method, **codecs))

    def _with_metadata(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def with_metadata(request: Any, **options: Any) -> Any:  # no partial: its repr would show the key
            return call(request, metadata=self._metadata, **options)

        return with_metadata


def connect(
    address: str, api_key: Optional[str], tls: Union[bool, _credentials.Tls, None], package: Any = grpc
) -> Channel:
    """`package`: grpc or grpc.aio. The connection is made by the first call."""
    credentials = _credentials.channel_credentials(tls)
    metadata = _credentials.call_metadata(api_key)
    if credentials is None:
        channel = package.insecure_channel(address, _OPTIONS)
    else:
        channel = package.secure_channel(address, credentials, _OPTIONS)
    return Channel(channel, metadata)


def check_address(address: Any) -> str:
    host, colon, port = str(address).rpartition(":")
    if not isinstance(address, str) or not colon or not host or not port.isdigit():
        raise InvalidArgument(f'address must be "host:port", is {address!r}')
    return address


def check_timeout(timeout: Optional[float]) -> Optional[float]:
    if timeout is not None and not timeout > 0:
        raise InvalidArgument(f"timeout must be more than 0 seconds, or None, is {timeout}")
    return timeout
