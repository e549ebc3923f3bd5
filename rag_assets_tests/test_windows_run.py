"""The trial under Wine: what it keeps of this machine's network is not for other accounts."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "windows" / "run"


@pytest.mark.skipif(sys.platform == "win32", reason="it is run on Debian")
def test_addresses_that_may_have_passwords_are_for_one_account(tmp_path: Path) -> None:
    """Of a package index and of proxies; also where an earlier run left such a file for all to read."""
    _, _, rest = RUN.read_text().partition('cp -L "')
    part, _, _ = rest.partition("\n")[2].partition('cat >"$dir/wine"')
    target = tmp_path / "network.env"
    target.write_text("OLD=1\n")
    target.chmod(0o644)
    environment = {"PATH": "/usr/bin:/bin", "dir": str(tmp_path), "PIP_INDEX_URL": "https://me:secret@index/simple"}
    subprocess.run(["bash", "-c", f"set -euo pipefail; umask 022\n{part}"], check=True, env=environment)
    assert target.read_text() == "PIP_INDEX_URL=https://me:secret@index/simple\n"
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="it is run on Debian")
def test_a_second_run_finds_the_wine_of_the_first(tmp_path: Path) -> None:
    """Its link leads to a path of the chroot; Debian is not made anew over what is there."""
    rest = RUN.read_text().partition('prefix/drive_c/Program Files/Python311"\n')[2]
    part = rest.partition('cat >"$dir/mount"')[0]
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "wine").symlink_to(tmp_path / "etc" / "alternatives" / "wine")
    debootstrap = tmp_path / "debootstrap"
    debootstrap.write_text("#!/bin/sh\nexit 1\n")
    debootstrap.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "dir": str(tmp_path), "root": str(tmp_path)}
    assert "debootstrap --variant" in part
    subprocess.run(["bash", "-c", f"set -euo pipefail\n{part}"], check=True, env=environment)
