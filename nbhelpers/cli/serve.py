"""The service of the workspace: ``serve``, ``pipelines`` and ``token …``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from nbhelpers.cli.runs import existing_workspace
from nbhelpers.errors import UserErrorException

app = typer.Typer()
token = typer.Typer(no_args_is_help=True, help="Make, list and revoke tokens for the service.")
app.add_typer(token, name="token")


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen on this address. Any but a loopback address needs TLS files.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=0,
            max=65535,
            help="Listen on this port and record it in the workspace; 0 takes one that is free.",
            show_default="the one recorded",
        ),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--tls-certificate", metavar="FILE", help="A certificate (PEM), for HTTPS.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key (PEM).")] = None,
) -> None:
    """Serve published pipelines and deployed models over REST.

    Goes on until Ctrl-C or SIGTERM. Runs that were started go on after that. Prints a log, one JSON object a line.
    """
    from nbhelpers.local.workspace import Workspace
    from nbhelpers.service.server import serve

    serve(Workspace.from_config(), host, port, certificate, key)


@app.command()
def pipelines(
    everything: Annotated[bool, typer.Option("--all", help="Those that are disabled, too.")] = False,
) -> None:
    """List the published pipelines of the workspace, newest first."""
    from nbhelpers.local.display import text_table
    from nbhelpers.local.published import PublishedPipeline

    found = PublishedPipeline.list(existing_workspace(), active_only=not everything)
    if found:
        headers = ("Id", "Name", "Version", "Status", "Endpoint")
        print(text_table(headers, [(p.id, p.name, p.version or "-", p.status, p.endpoint) for p in found]))
    else:
        print("No pipeline is published. To publish one: pipeline_run.publish_pipeline(name, description, version)")


@token.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    scopes: Annotated[
        list[str],
        typer.Option("--scope", metavar="SCOPE", help="submit, read or score; can be repeated."),
    ] = ["submit", "read"],  # noqa: B006 - Typer reads it, nothing changes it
    days: Annotated[float, typer.Option(metavar="NUMBER", help="How long it is valid, at most 365.")] = 30,
) -> None:
    """Make a token and print it. It is shown this once: the workspace keeps only its digest."""
    from nbhelpers.local.tokens import LONGEST, create_token
    from nbhelpers.local.workspace import Workspace

    if not 0 < days <= LONGEST.days:  # before timedelta, which has limits of its own
        limits = f"above 0 and at most {LONGEST.days}"
        raise UserErrorException(f"--days {days:g} is not {limits}.", "Give a number of days.")
    print(create_token(Workspace.from_config().store, name, scopes, timedelta(days=days)))


@token.command("list")
def list_() -> None:
    """List the tokens, newest first. Times are UTC."""
    from nbhelpers.local.display import text_table
    from nbhelpers.local.tokens import list_tokens

    found = list_tokens(existing_workspace().store)
    rows = [
        (
            token.id,
            token.name,
            ",".join(token.scopes),
            f"{token.created:%Y-%m-%dT%H:%M:%SZ}",
            f"{token.expires:%Y-%m-%dT%H:%M:%SZ}" if token.expires > datetime.now(UTC) else "expired",
        )
        for token in found
    ]
    if rows:
        print(text_table(("Id", "Name", "Scopes", "Created", "Expires"), rows))
    else:
        print("No tokens. To make one: nbhelpers token create NAME")


@token.command()
def revoke(token_id: Annotated[str, typer.Argument(metavar="ID", help="As `nbhelpers token list` shows it.")]) -> None:
    """End a token at once."""
    from nbhelpers.local.tokens import revoke_token

    revoke_token(existing_workspace().store, token_id)
    print(f"Token {token_id} is no longer valid.")
