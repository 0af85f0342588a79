"""python -m varve: files into a namespace, and a namespace into a file."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import sys
from typing import Any, Optional

import varve
import varve.io
from varve._credentials import read_api_key
from varve.io._values import parse_time

_SPANS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ROW_ERRORS_SHOWN = 10


def main(arguments: Optional[list[str]] = None) -> int:
    """Runs a command; returns the exit code: 0, 1 after an error, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    try:
        with _connect(options) as client:
            options.run(client, options)
    except (varve.Error, OSError, ImportError) as error:
        print(f"varve: {error}", file=sys.stderr)
        _say_how_to_go_on(options)
        return 1
    except KeyboardInterrupt:
        print("varve: interrupted", file=sys.stderr)
        _say_how_to_go_on(options)
        return 130
    return 0


def _connect(options: argparse.Namespace) -> varve.Client:
    files = varve.Tls(ca=options.tls_ca, cert=options.tls_cert, key=options.tls_key)
    tls = options.tls or files != varve.Tls()
    api_key = None if options.api_key_file is None else read_api_key(options.api_key_file)
    return varve.Client(options.server, api_key=api_key, tls=files if tls else None)


def _say_how_to_go_on(options: argparse.Namespace) -> None:
    if getattr(options, "producer", None):
        print("varve: the same command goes on where this ended", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m varve", description="Files into a namespace, and a namespace into a file."
    )
    commands = parser.add_subparsers(required=True, metavar="import|export")
    _add_import(commands)
    _add_export(commands)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("VARVE_SERVER", "127.0.0.1:7780"),
        help="address of the server (%(default)s, or VARVE_SERVER)",
    )
    _add_security(command)
    command.add_argument(
        "--metadata",
        metavar="COLUMNS",
        type=_names,
        default=True,
        help="columns of metadata, with commas between; all (the default) or none",
    )
    command.add_argument("--quiet", action="store_true", help="show no progress")


def _add_security(command: argparse.ArgumentParser) -> None:
    """As `varve` has them. Each of --tls... asks for an encrypted connection."""
    command.add_argument(
        "--tls",
        action="store_true",
        default=os.environ.get("VARVE_TLS", "").lower() in ("1", "true", "yes", "on"),
        help="encrypt the connection (or VARVE_TLS=1)",
    )
    command.add_argument(
        "--tls-ca",
        metavar="FILE",
        default=os.environ.get("VARVE_TLS_CA"),
        help="encrypt; the server's certificate is signed by one of these authorities (PEM; or VARVE_TLS_CA)",
    )
    command.add_argument("--tls-cert", metavar="FILE", help="encrypt; show this certificate to the server (PEM)")
    command.add_argument("--tls-key", metavar="FILE", help="the private key of --tls-cert (PEM)")
    command.add_argument(
        "--api-key-file", metavar="FILE", help="file with the API key; without it the key is $VARVE_API_KEY"
    )


def _add_import(commands: Any) -> None:
    command = commands.add_parser(
        "import",
        help="stream a file into a namespace",
        description="Streams .parquet, .arrow, .feather, .jsonl[.gz], .csv[.gz], .hdf5, .h5 or .npy into a "
        "namespace.",
    )
    command.set_defaults(run=_import)
    command.add_argument("file", metavar="FILE")
    command.add_argument("--namespace", metavar="NS", required=True)
    _add_common(command)
    command.add_argument("--id", metavar="COLUMN", help="ids (id; without one, positions from 0)")
    command.add_argument(
        "--vector",
        metavar="[FIELD=]COLUMN",
        action="append",
        help="vectors (vector, embedding or the only lists); of a CSV also the beginning of the columns x0, "
        "x1 ...; repeatable for several fields",
    )
    command.add_argument("--vectors", metavar="FILE", help="a .npy with the vectors instead")
    command.add_argument("--ids", metavar="FILE", help="the ids in a .npy or one a line instead")
    command.add_argument("--create", action="store_true", help="create the namespace if there is none")
    command.add_argument("--metric", choices=("l2", "cosine", "dot"), default="l2",
                         help="with --create (%(default)s)")  # fmt: skip
    command.add_argument("--element-type", metavar="TYPE", help="with --create (as the file has it)")
    command.add_argument("--producer", metavar="NAME",
                         help="name of this import: the same command again sends what is missing")  # fmt: skip
    command.add_argument("--batch-size", metavar="ROWS", type=int, help="(about 4 MiB of them)")
    command.add_argument(
        "--expire",
        metavar="WHEN",
        type=_when,
        help="when the records expire: 2030-01-01T00:00:00Z, or +36h or +7d from now",
    )
    command.add_argument("--on-error", choices=("fail", "skip"), default="fail",
                         help="at a row that the server refuses (%(default)s)")  # fmt: skip


def _add_export(commands: Any) -> None:
    command = commands.add_parser(
        "export",
        help="write a namespace to a file",
        description="Writes a namespace to .parquet, .arrow, .feather, .jsonl[.gz], .csv[.gz], .hdf5 or .h5.",
    )
    command.set_defaults(run=_export)
    command.add_argument("namespace", metavar="NS")
    command.add_argument("file", metavar="FILE")
    _add_common(command)
    command.add_argument("--filter", metavar="EXPR", help="only these: 'price < 10 AND NOT sold'")
    command.add_argument("--id", metavar="COLUMN", help="name of the ids' column (id)")
    command.add_argument("--vector", metavar="COLUMN", help="name of the vectors' column (vector)")


def _names(text: str) -> Any:
    return {"all": True, "none": False}.get(text) if text in ("all", "none") else text.split(",")


def _when(text: str) -> Any:
    span = re.fullmatch(r"\+(\d+)([smhd])", text)
    try:
        if span:
            return datetime.timedelta(**{_SPANS[span[2]]: int(span[1])})
        return parse_time(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"must be a time such as 2030-01-01T00:00:00Z, or +36h or +7d, is {text!r}"
        ) from None


def _import(client: varve.Client, options: argparse.Namespace) -> None:
    vector: Any = None
    if options.vector is not None:
        pairs = [text.rpartition("=") for text in options.vector]
        named = any(equals for _, equals, _ in pairs)
        if not named and len(pairs) > 1:
            raise varve.InvalidArgument("several --vector must name their fields: FIELD=COLUMN")
        vector = {field: column for field, _, column in pairs} if named else pairs[0][2]
    ns = client.namespace(options.namespace)
    if options.create:
        _create(client, options, vector)
    result = varve.io.import_file(
        ns,
        options.file,
        id=options.id,
        vector=vector,
        metadata=options.metadata,
        vectors=options.vectors,
        ids=options.ids,
        expire=options.expire,
        producer=options.producer,
        batch_size=options.batch_size,
        on_error=options.on_error,
        progress=not options.quiet,
    )
    for error in result.row_errors[:_ROW_ERRORS_SHOWN]:
        print(f"row {error.row} (id {error.id!r}): {error.message}", file=sys.stderr)
    more = len(result.row_errors) - _ROW_ERRORS_SHOWN
    if more > 0:
        print(f"and {more:,} rows more", file=sys.stderr)
    print(result)


def _create(client: varve.Client, options: argparse.Namespace, vector: Any) -> None:
    fields = varve.io.fields_of(
        options.file,
        vector=vector,
        vectors=options.vectors,
        metric=options.metric,
        element_type=options.element_type,
    )
    try:
        client.create_namespace(options.namespace, fields=fields)
    except varve.AlreadyExists:
        pass  # the import goes on into it, or says what does not fit


def _export(client: varve.Client, options: argparse.Namespace) -> None:
    rows = varve.io.export_file(
        client.namespace(options.namespace),
        options.file,
        filter=options.filter,
        metadata=options.metadata,
        id=options.id,
        vector=options.vector,
        progress=not options.quiet,
    )
    print(f"{rows:,} records in {options.file}")


if __name__ == "__main__":
    sys.exit(main())
