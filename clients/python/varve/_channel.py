"""The connection to a server."""

from __future__ import annotations

from typing import Any, Optional

from varve.errors import InvalidArgument

# Seconds.
DEFAULT_TIMEOUT = 60.0
# Larger answers fail with ResourceExhausted.
_RECEIVE_BYTES_MAX = 64 << 20

OPTIONS = [
    ("grpc.max_receive_message_length", _RECEIVE_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    # gRPC's own pauses between attempts to connect are for services with many servers.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


def check_address(address: Any) -> str:
    host, colon, port = str(address).rpartition(":")
    if not isinstance(address, str) or not colon or not host or not port.isdigit():
        raise InvalidArgument(f'address must be "host:port", is {address!r}')
    return address


def check_timeout(timeout: Optional[float]) -> Optional[float]:
    if timeout is not None and not timeout > 0:
        raise InvalidArgument(f"timeout must be more than 0 seconds, or None, is {timeout}")
    return timeout
