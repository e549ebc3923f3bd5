"""The commands `rag-assets service ...` on Windows: `rag-assets up` as a service, by NSSM."""

import sys
from pathlib import Path

import click

from rag_assets import nssm as services
from rag_assets import unattended
from rag_assets.console import JSON, print_json, print_progress, show

NSSM = click.option(
    "--nssm",
    envvar="NSSM",
    type=click.Path(dir_okay=False, path_type=Path),
    help="nssm.exe, where it is not on the PATH; or the variable NSSM.",
)


@click.group(short_help="Have `up` run as a service of Windows (NSSM).")
def service() -> None:
    """Have `rag-assets up` run as a service: at boot, after failures, with logs of bounded size and few rights.

    On Windows by NSSM; steps and troubleshooting are in docs/windows.md.
    """


@service.command(epilog="\b\nFor example:\n  rag-assets service install --print\n  rag-assets service install")
@NSSM
@click.option("--print", "only_print", is_flag=True, help="Show the commands, and run none.")
def install(nssm: Path | None, only_print: bool) -> None:
    """Make the service, or set it anew; safe to repeat, and what an upgrade needs. Settings and data stay."""
    place = services.place(nssm)
    if only_print:
        click.echo(services.script(place), nl=False)
        return
    is_new = services.install(place, progress=print_progress)
    show(f"The service {unattended.SERVICE_NAME} is {'made' if is_new else 'set anew'}, and started at boot.")
    if services.require_installed(place) == services.RUNNING:
        show("It still runs what it was started with: rag-assets service stop, then start")
    else:
        show(f"Settings: {place.environment}. Next: rag-assets service start")


@service.command()
@NSSM
def start(nssm: Path | None) -> None:
    """Start it."""
    place = services.place(nssm)
    services.start(place)
    show(f"Started. Next: rag-assets service status; it says how it goes in: {place.log}")


@service.command()
@NSSM
def stop(nssm: Path | None) -> None:
    """Stop it, and wait until all that it started has ended."""
    services.stop(services.place(nssm))
    show("Stopped: what is stored stays, all else is pending.")


@service.command()
@NSSM
@JSON
def status(nssm: Path | None, as_json: bool) -> None:
    """Show whether it runs. The exit code is 3 when it does not."""
    place = services.place(nssm)
    state = services.require_installed(place)
    if as_json:
        print_json({"state": state, "log": place.log, "home": place.home})
    else:
        show(f"{unattended.SERVICE_NAME}: {state}")
        if state == services.PAUSED:
            show("It failed, and is started again after 10 s, or later where it failed soon after its start.")
        show(f"What it says: {place.log}; its logs: {place.home / 'logs'}")
    sys.exit(0 if state == services.RUNNING else unattended.INACTIVE_EXIT_CODE)


@service.command()
@NSSM
def uninstall(nssm: Path | None) -> None:
    """Stop it and remove it. Settings, data and logs stay; it says where."""
    place = services.place(nssm)
    services.uninstall(place)
    show(f"Gone is the service {unattended.SERVICE_NAME}. Left are {place.config} and {place.home}.")
