"""`python -m rag_assets_tests.siblings [--kind KIND] [--json] [--python FILE] [--pythonpath FOLDER]`: a line per kind.

Each file is made in a temporary folder and read by `rag-assets parse --json` of that Python, so that another version of
the program reads the same files.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rag_assets_tests.siblings.kinds import KINDS
from rag_assets_tests.siblings.sibling import Sibling, faults

SECONDS = 600  # for all files at most


def main() -> int:
    """0 when every file was read as a person reads it."""
    arguments = _parser().parse_args()
    wanted = {kind: list(KINDS[kind]()) for kind in arguments.kind or KINDS}
    with tempfile.TemporaryDirectory() as folder:
        outcomes = _read(Path(folder), wanted, python=arguments.python, path=arguments.pythonpath)
    right = total = 0
    for kind, siblings in wanted.items():
        missed = {each.name: why for each in siblings if (why := _faults(each, outcomes[f"{kind}/{each.name}"]))}
        right, total = right + len(siblings) - len(missed), total + len(siblings)
        _report(kind, len(siblings), missed, as_json=arguments.json)
    print(f"{'all':28} {right:4}/{total}", file=sys.stderr if arguments.json else sys.stdout)
    return int(right < total)


def _faults(wanted: Sibling, outcome: Mapping[str, object]) -> list[str]:
    if "text" not in outcome:
        return [f"{outcome['error']}: {outcome['message']}"]
    return list(faults(wanted, str(outcome["text"])))


def _report(kind: str, total: int, missed: Mapping[str, Sequence[str]], *, as_json: bool) -> None:
    if as_json:
        line = {"kind": kind, "right": total - len(missed), "total": total, "missed": missed}
        print(json.dumps(line, ensure_ascii=False), flush=True)
        return
    print(f"{kind:28} {total - len(missed):4}/{total}")
    for name, why in missed.items():
        print(*(f"    {name}: {each[:150]}" for each in why), sep="\n")


def _read(
    folder: Path, wanted: Mapping[str, Sequence[Sibling]], *, python: str, path: str | None
) -> dict[str, dict[str, object]]:
    """What came out of each file, by its kind and name."""
    names = []
    for kind, siblings in wanted.items():
        (folder / kind).mkdir()
        for each in siblings:
            (folder / kind / each.name).write_bytes(each.data)
            names.append(f"{kind}/{each.name}")
    environment = {**os.environ, **({"PYTHONPATH": path} if path else {})}
    answer = subprocess.run(
        [python, "-m", "rag_assets", "parse", "--json", *names],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        timeout=SECONDS,
        check=False,
        encoding="utf-8",
    )
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    return {name: {"error": "not read", "message": "there is no line for it"} for name in names} | {
        line["path"]: line for line in lines
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rag_assets_tests.siblings", description=__doc__)
    parser.add_argument("--kind", action="append", choices=KINDS, help="this kind alone; may be given several times")
    parser.add_argument("--json", action="store_true", help="JSON Lines, one object for each kind")
    parser.add_argument("--python", default=sys.executable, help="the Python that reads the files")
    parser.add_argument("--pythonpath", help="a checkout of the program that it reads them with")
    return parser


if __name__ == "__main__":
    sys.exit(main())
