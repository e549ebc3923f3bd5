"""The commands `rag-assets service ...`: `rag-assets up` as a service of the system, or of the user."""

import sys

import click

from rag_assets import systemd, unattended
from rag_assets.console import JSON, print_json, print_progress, show
from rag_assets.systemd import Place

USER = click.option("--user", is_flag=True, help="A service of your own account, without root.")


@click.group(short_help="Have `up` run as a service of Linux (systemd).")
def service() -> None:
    """Have `rag-assets up` run as a service: at boot, after failures, with limits and little rights.

    On Linux with systemd; steps and troubleshooting are in docs/linux.md.
    """


@service.command(epilog="\b\nFor example:\n  rag-assets service install --print\n  rag-assets service install --user")
@USER
@click.option("--print", "only_print", is_flag=True, help="Show the unit, and write nothing.")
def install(user: bool, only_print: bool) -> None:
    """Write and enable the unit; safe to repeat, and what an upgrade needs. Settings and data stay as they are."""
    systemd.require_linux()
    place = _place(user)
    if only_print:
        click.echo(systemd.unit_text(place), nl=False)
        return
    is_new = systemd.install(place, progress=print_progress)
    show(f"{place.unit} is {'written' if is_new else 'as it should be'}, and started at boot.")
    running = systemd.status(place).get("ActiveState") == "active"
    option = " --user" if user else ""
    if running:
        show(f"It still runs what it was started with: rag-assets service stop{option}, then start")
    else:
        show(f"Settings: {place.environment}. Next: rag-assets service start{option}")


@service.command()
@USER
def start(user: bool) -> None:
    """Start it."""
    place = _place(user)
    systemd.start(place)
    show(
        f"Started. Next: rag-assets service status{' --user' if user else ''}; it says how it goes in: {place.journal}"
    )


@service.command()
@USER
def stop(user: bool) -> None:
    """Stop it, and wait until all that it started has ended."""
    systemd.stop(_place(user))
    show("Stopped: what is stored stays, all else is pending.")


@service.command()
@USER
@JSON
def status(user: bool, as_json: bool) -> None:
    """Show whether it runs. The exit code is 3 when it does not."""
    place = _place(user)
    found = systemd.status(place)
    if as_json:
        print_json(found)
    else:
        show(
            f"{systemd.UNIT}: {found.get('ActiveState')} ({found.get('SubState')}), "
            f"{found.get('UnitFileState')} at boot"
        )
        show(f"process {found.get('MainPID')}, restarts {found.get('NRestarts')}, result {found.get('Result')}")
        show(f"What it says: {place.journal}; its logs: {place.home / 'logs'}")
    sys.exit(0 if found.get("ActiveState") == "active" else unattended.INACTIVE_EXIT_CODE)


@service.command()
@USER
def uninstall(user: bool) -> None:
    """Stop it and remove its unit. Settings, data and account stay; it says where."""
    place = _place(user)
    systemd.uninstall(place)
    account = f", and the account {place.account} (userdel {place.account})" if place.account else ""
    show(f"Gone is {place.unit}. Left are {place.config}, {place.home}{account}.")


def _place(user: bool) -> Place:
    return systemd.user_place() if user else systemd.system_place()
