"""No code that Windows runs uses a module or name that Python has on other systems only."""

import ast
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import rag_assets

MODULES = {"pwd", "grp", "fcntl", "resource", "termios", "tty", "pty", "syslog", "spwd", "posix", "readline", "curses"}
# What `dir` of these modules has on Linux and not in CPython 3.11 for Windows, without constants of rare use.
NAMES = {
    "os": """chown chroot confstr copy_file_range ctermid environb eventfd fchdir fchmod fchown fdatasync fork forkpty
        fpathconf fstatvfs fwalk get_blocking getegid getenvb geteuid getgid getgrouplist getgroups getloadavg getpgid
        getpgrp getpriority getrandom getresgid getresuid getsid getuid getxattr initgroups killpg lchown listxattr
        lockf major makedev memfd_create minor mkfifo mknod nice openpty pathconf pidfd_open pipe2 posix_fadvise
        posix_fallocate posix_spawn posix_spawnp pread preadv pwrite pwritev readv register_at_fork removexattr
        sched_getaffinity sched_setaffinity sched_yield sendfile set_blocking setegid seteuid setgid setgroups setpgid
        setpgrp setpriority setregid setresgid setresuid setreuid setsid setuid setxattr spawnlp spawnvp splice statvfs
        sync sysconf tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid writev O_CLOEXEC O_DIRECT O_DIRECTORY
        O_NOATIME O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_SYNC O_TMPFILE WNOHANG WIFEXITED WEXITSTATUS WIFSIGNALED
        WTERMSIG WUNTRACED EX_OSERR EX_USAGE EX_TEMPFAIL EX_SOFTWARE RTLD_GLOBAL RTLD_NOW""",
    "signal": """SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGSYS SIGTRAP SIGTSTP SIGTTIN
        SIGTTOU SIGUSR1 SIGUSR2 SIGWINCH SIGXCPU SIGXFSZ SIG_BLOCK SIG_SETMASK SIG_UNBLOCK alarm pause pthread_kill
        pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait sigwaitinfo""",
    "socket": """AF_UNIX AF_NETLINK AF_PACKET AF_VSOCK MSG_DONTWAIT MSG_NOSIGNAL MSG_CMSG_CLOEXEC SCM_RIGHTS
        SOCK_CLOEXEC SOCK_NONBLOCK SO_PEERCRED SO_REUSEPORT SO_PASSCRED TCP_USER_TIMEOUT CMSG_LEN recv_fds send_fds""",
    "time": "CLOCK_BOOTTIME CLOCK_MONOTONIC clock_gettime clock_gettime_ns tzset",
    "select": "epoll poll POLLIN POLLOUT POLLHUP",
}
POSIX_ONLY = {f"{module}.{name}" for module, names in NAMES.items() for name in names.split()}
# What these say on Windows. Anything else may be either.
ON_WINDOWS = {"sys.platform": "win32", "os.name": "nt"}
FLAG = "WINDOWS"  # a constant of a module: os.name == "nt"
Node = ast.AST


# ---- what a condition is on Windows: True, False, or None for either


def _value(test: ast.expr) -> bool | None:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        value = _value(test.operand)
        return None if value is None else not value
    if isinstance(test, ast.BoolOp):
        return _joined([_value(each) for each in test.values], decisive=isinstance(test.op, ast.Or))
    if isinstance(test, ast.Compare):
        return _compared(test)
    if isinstance(test, ast.Call):
        return False if _asks_for_a_missing_name(test) else None
    return True if ast.unparse(test).rpartition(".")[2] == FLAG else None


def _joined(values: list[bool | None], *, decisive: bool) -> bool | None:
    """Of `or`, where True decides, and of `and`, where False does."""
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def _compared(test: ast.Compare) -> bool | None:
    known, [operator], [other] = ON_WINDOWS.get(ast.unparse(test.left)), test.ops[:1], test.comparators[:1]
    if known is None or not isinstance(other, ast.Constant) or not isinstance(operator, ast.Eq | ast.NotEq):
        return None
    return (known == other.value) is isinstance(operator, ast.Eq)


def _asks_for_a_missing_name(call: ast.Call) -> bool:
    names = [each.value if isinstance(each, ast.Constant) else ast.unparse(each) for each in call.args]
    return ast.unparse(call.func) == "hasattr" and ".".join(map(str, names)) in POSIX_ONLY


# ---- what of a file Windows may run


def _run(node: Node) -> Iterator[Node]:
    """The node and all below it that may run, without what is inside of functions."""
    yield node
    for part in _parts(node):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (deeper for each in (*part.decorator_list, part.args) for deeper in _run(each))
        else:
            yield from _run(part)


def _parts(node: Node) -> Iterable[Node]:
    """What may run of the parts of a node."""
    if isinstance(node, ast.If | ast.IfExp):
        value = _value(node.test)
        yield node.test
        yield from _branch(node.body) if value is not False else ()
        yield from _branch(node.orelse) if value is not True else ()
    elif isinstance(node, ast.BoolOp):
        yield from _until_decided(node)
    else:
        for _, field in ast.iter_fields(node):
            yield from _branch(field)


def _branch(field: object) -> Iterator[Node]:
    """A node, or statements up to one after which Windows goes no further."""
    for each in field if isinstance(field, list) else [field]:
        if isinstance(each, ast.AST):
            yield each
            if _leaves(each):
                return


def _leaves(statement: Node) -> bool:
    if isinstance(statement, ast.If):
        return _value(statement.test) is True and isinstance(statement.body[-1], ast.Return | ast.Raise | ast.Continue)
    return isinstance(statement, ast.Assert) and _value(statement.test) is False


def _until_decided(node: ast.BoolOp) -> Iterator[Node]:
    decisive = isinstance(node.op, ast.Or)
    for each in node.values:
        yield each
        if _value(each) is decisive:
            return


def _functions(tree: Node) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Those that Windows may define: of a branch that is another system's, none."""
    for node in _parts(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        yield from _functions(node)


class Function(NamedTuple):
    """What Windows may run of a function; a file's own statements are one without a name."""

    file: str
    name: str
    nodes: list[Node]


def faults(sources: dict[str, str]) -> list[str]:
    """Each place, as `file:line what`, where Windows would not find a module or name."""
    trees = {file: ast.parse(source) for file, source in sources.items()}
    functions = [each for file, tree in trees.items() for each in _read(file, tree)]
    called = {name for tree in trees.values() for name in _names(ast.walk(tree))}
    roots = [each for each in functions if each.name not in called or each.name.startswith("__")]
    return sorted(
        fault for each in _reached(functions, roots) for node in each.nodes for fault in _fault(each.file, node)
    )


def _read(file: str, tree: ast.Module) -> Iterator[Function]:
    yield Function(file, "", list(_run(tree)))
    for node in _functions(tree):
        yield Function(file, node.name, [each for part in _branch(node.body) for each in _run(part)])


def _names(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _reached(functions: list[Function], roots: list[Function]) -> list[Function]:
    """Those that Windows may come to: those that nobody names, as commands and tests may, whom they name, and so on.

    A name that begins with an underscore is of its own file, any other one of all files.
    """
    by_name = defaultdict(list)
    for each in functions:
        by_name[each.name].append(each)
    waiting, seen = list(roots), {}
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen[id(one)] = one
            named = [each for name in set(_names(one.nodes)) for each in by_name[name]]
            waiting += [each for each in named if each.file == one.file or not each.name.startswith("_")]
    return list(seen.values())


def _fault(file: str, node: Node) -> Iterator[str]:
    if isinstance(node, ast.Import):
        missing = {alias.name for alias in node.names} & MODULES
    elif isinstance(node, ast.ImportFrom):
        missing = {node.module or ""} & MODULES | {f"{node.module}.{alias.name}" for alias in node.names} & POSIX_ONLY
    elif isinstance(node, ast.Attribute):
        missing = {ast.unparse(node)} & POSIX_ONLY
    else:
        return
    yield from (f"{file}:{node.lineno} {name}" for name in missing)


# ---- tests


def test_windows_finds_each_name_that_it_comes_to() -> None:
    """Guarded are branches of sys.platform, os.name, WINDOWS and hasattr, and functions that only these call."""
    root = Path(rag_assets.__file__).parent
    files = {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in root.rglob("*.py")}
    assert faults(files) == []


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl",
        "from os import fork",
        "def f():\n    os.getuid()",
        "def f():\n    if os.name == 'nt':\n        os.kill(1, signal.SIGKILL)",
        "def f():\n    if sys.platform == 'win32' or x:\n        return os.setsid()",
        "def f():\n    if x:\n        return\n    os.killpg(1, 2)",
        "def f():\n    return sys.platform != 'win32' or os.geteuid()",
        "class A:\n    family = socket.AF_UNIX",
        "def f():\n    _g()\ndef _g():\n    import pwd",
    ],
)
def test_name_that_windows_lacks_is_found(source: str) -> None:
    """At the top, in a function, in a method's class, behind a condition that says something else."""
    assert len(faults({"a.py": source})) == 1


@pytest.mark.parametrize(
    "source",
    [
        "if sys.platform != 'win32':\n    import fcntl",
        "if sys.platform == 'win32':\n    pass\nelse:\n    import fcntl\n    def f():\n        fcntl.flock(1, 2)",
        "def f():\n    if sys.platform == 'win32':\n        return\n    os.getuid()",
        "def f():\n    assert sys.platform != 'win32'\n    os.fork()",
        "def f():\n    return os.name != 'nt' and os.geteuid() == 0",
        "def f():\n    return None if a.WINDOWS else os.geteuid()",
        "def f():\n    if x and hasattr(socket, 'AF_UNIX'):\n        socket.socket(socket.AF_UNIX)",
        "def f():\n    if not WINDOWS:\n        _g()\ndef _g():\n    _h()\ndef _h():\n    os.fork()",
    ],
)
def test_name_behind_a_guard_is_not(source: str) -> None:
    """Also in functions that are called nowhere else."""
    assert faults({"a.py": textwrap.dedent(source)}) == []
