"""The rules of this house: what the sources may not hold, and where."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "Sources").rglob("*.swift"))

# Unsafe code lives where the kernel or OpenSSL is called, and nowhere else. A new file here wants
# a reason; a module above these wants a better idea.
UNSAFE_FILES = {
    "Crypto",
    "Reactor",
}

# `Task {` and `Task(` start tasks; only the event loop may, with its executor preference.
TASK_FILES = {"Reactor/EventLoop.swift"}

# Claims that the compiler cannot check, each explained where it stands.
UNCHECKED_FILES = {
    "Crypto/Handles.swift",
    "Reactor/EventLoop.swift",
    "Reactor/Semaphore.swift",
    "Reactor/SocketBIO.swift",
    "Reactor/TLSContext.swift",
    "Reactor/TicketKeys.swift",
    "Reactor/WorkerThread.swift",
}


def text_of(path):
    return path.read_text(encoding="utf-8")


def code_of(path):
    """The file without comments and string literals, line by line."""

    def lines_of(found):
        return "\n" * found[0].count("\n")

    text = re.sub(r"/\*.*?\*/", lines_of, text_of(path), flags=re.S)
    text = re.sub(r'""".*?"""', lines_of, text, flags=re.S)
    lines = []
    for line in text.splitlines():
        line = re.sub(r'"(?:\\.|[^"\\])*"', '""', line)
        lines.append(line.split("//")[0])
    return lines


def relative(path):
    return str(path.relative_to(ROOT / "Sources"))


def allowed(path, table):
    name = relative(path)
    return any(name == entry or name.startswith(entry + "/") for entry in table)


def found(pattern, table=()):
    """Where the code matches, but in files of the table."""
    expression = re.compile(pattern)
    return [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in SOURCES
        if not allowed(path, table)
        for number, line in enumerate(code_of(path), 1)
        if expression.search(line)
    ]


def test_the_top_level_holds_only_what_belongs_there():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    top = {name.split("/")[0] for name in listed if name}
    belong = {"Package.swift", "Sources", "Tests", "deploy", "examples", "README.md"}
    assert {name for name in top if not name.startswith(".")} <= belong


def test_the_product_never_imports_foundation():
    assert not found(r"^\s*(?:\w+ )*import (?:struct |class |func |enum )?Foundation")


def test_there_are_no_swift_packages():
    assert ".package(" not in text_of(ROOT / "Package.swift")


def test_tasks_are_started_by_the_event_loop_only():
    assert not found(r"\bTask(?:\.detached|\.immediate)?\s*[({]", TASK_FILES)
    assert not found(r"\bwith(?:Throwing|Discarding|ThrowingDiscarding)?TaskGroup\b")
    assert not found(r"\basync let\b")


def test_unsafe_code_lives_in_its_homes():
    # An actor must name its executor, and Swift calls that unsafe: it is its one allowed place.
    naming = r"unsafe \w+\.asUnownedSerialExecutor\(\)$"
    words = r"\bunsafe\b|\bUnsafe\w*Pointer\b|\bunsafeBitCast\b|\bUnmanaged\b"
    unsafe = rf"^(?!.*{naming}).*(?:{words})"
    assert not found(unsafe, UNSAFE_FILES)


def test_what_the_compiler_cannot_check_lives_in_its_homes():
    assert not found(r"@unchecked Sendable|nonisolated\(unsafe\)", UNCHECKED_FILES)
    assert not found(r"@preconcurrency|@_unsafe")


def test_nothing_can_trap_by_force():
    assert not found(r"\btry!|\bas!|\bfatalError\(|\bunsafelyUnwrapped\b")


def test_nothing_is_public():
    assert not found(r"^\s*public\s|^\s*open\s+(?:class|func|var)")


@pytest.mark.parametrize("folder", ["Sources", "Tests", "deploy", "examples", ".ci"])
def test_lines_are_short_and_clean(folder):
    suffixes = {".swift", ".py", ".sh", ".c", ".h", ".json", ".service", ""}
    long, dirty = [], []
    for path in sorted((ROOT / folder).rglob("*")):
        parts = set(path.parts)
        if not path.is_file() or path.suffix not in suffixes or parts & {".state", "__pycache__"}:
            continue
        if "Fuzz" in parts:
            continue
        if folder == "Tests" and path.suffix in (".swift", ".json"):
            continue  # the formatter looks at these, and lets literal texts be
        try:
            lines = text_of(path).split("\n")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        limit = 100
        for number, line in enumerate(lines, 1):
            if len(line) > limit:
                long.append(f"{name}:{number}: {len(line)} columns")
            if line != line.rstrip() or "\t" in line:
                dirty.append(f"{name}:{number}")
    assert not long, "\n".join(long)
    assert not dirty, "space at an end or a tab: " + "\n".join(dirty)


def test_nothing_is_left_to_do():
    words = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    left = []
    for folder in ("Sources", "Tests", "deploy", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if not path.is_file() or set(path.parts) & {".state", "__pycache__", "Fuzz"}:
                continue
            try:
                lines = text_of(path).split("\n")
            except UnicodeDecodeError:
                continue
            left += [
                f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
                for number, line in enumerate(lines, 1)
                if words.search(line)
            ]
    assert not left, "\n".join(left)


def test_modules_import_only_those_above_them():
    """DESIGN's one direction: each module knows those before it in this list."""
    order = ["CLinux", "COpenSSL", "Wire", "Crypto", "JOSE", "Reactor", "HTTP", "OAuth",
             "Gateway", "Demo", "tollgate"]  # fmt: skip
    wrong = []
    for path in SOURCES:
        module = relative(path).split("/")[0]
        for name in re.findall(r"^\s*(?:\w+ )*import (\w+)", text_of(path), re.M):
            if name in order and order.index(name) >= order.index(module):
                wrong.append(f"{relative(path)} imports {name}")
    assert not wrong


def test_bytes_know_no_socket():
    """Wire, JOSE and OAuth are logic: no system calls, no clock."""
    wrong = found(r"^\s*(?:\w+ )*import (?:Glibc|CLinux|Reactor|COpenSSL)\b",
                  {"Reactor", "HTTP", "Gateway", "Demo", "Crypto", "tollgate"})  # fmt: skip
    assert not wrong


def test_every_test_of_ours_waits_for_something_true():
    """No test sleeps for a time and hopes."""
    wrong = []
    for path in sorted((ROOT / "Tests").rglob("*.py")):
        if path.name in ("waiting.py", "token_service.py", "test_house.py"):
            continue
        if re.search(r"\btime\.sleep\(", text_of(path)):
            wrong.append(str(path))
    for path in sorted((ROOT / "Tests").rglob("*.swift")):
        if re.search(r"\bTask\.sleep\b|\busleep\(|[^\w.]sleep\(", text_of(path)):
            wrong.append(str(path))
    assert not wrong
