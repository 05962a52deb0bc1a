"""Changes the contracts in small ways and asks whether the tests notice: prints the share they do.

Usage: python -m contracts.solidity.mutate [--only File.sol] [--jobs 2] [--json] …

Each job has a copy of the project of its own with forge's cache, so that a mutant costs the
compilation of one file and the tests up to the first that fails. A survivor is a missing test, or a
change that changes nothing; the latter are answered, each with its reason, in
mutants-answered.toml:

    [[answered]]
    file = "src/FinancingPool.sol"
    line = "the mutated line's text, without indentation"
    change = "what the survivor's line says, such as '< → <='"
    reason = "why no test can tell"
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import random
import shutil
import signal
import subprocess  # nosec B404
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from contracts.solidity.mutants import Mutant, find_mutants

PROJECT = Path(__file__).resolve().parent
ANSWERED = PROJECT / "mutants-answered.toml"
_COPIED = ("src", "test", "foundry.toml", "package.json")
_SLOWEST = 5.0  # times the unchanged tests' duration: then a mutant counts as hanging
_LEAST_SECONDS = 60.0


class MutationError(Exception):
    """The measurement can't begin; its text is one sentence."""


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"  # a test failed
    TIMEOUT = "timeout"  # the tests hang: counts as killed
    SURVIVED = "survived"  # all tests pass
    ANSWERED = "answered"  # survived, and mutants-answered.toml says why
    INVALID = "invalid"  # does not compile: not counted


@dataclass(frozen=True)
class Verdict:
    """A mutant and what became of it."""

    mutant: Mutant
    fate: Fate


@dataclass(frozen=True)
class Answer:
    """A survivor that no test can kill, and why."""

    file: str
    line: str
    change: str
    reason: str

    def fits(self, mutant: Mutant) -> bool:
        """Whether it speaks of this mutant."""
        wanted = (self.file, self.line, self.change)
        return wanted == (mutant.file, mutant.line_text, mutant.change)


def read_answers(path: Path) -> list[Answer]:
    """The answered survivors; none where there is no file.

    Raises:
        MutationError: an entry lacks a field or its reason.
    """
    if not path.exists():
        return []
    answers = []
    for number, entry in enumerate(tomllib.loads(path.read_text("utf-8")).get("answered", []), 1):
        fields = {key: str(entry.get(key, "")).strip() for key in Answer.__dataclass_fields__}
        if not all(fields.values()):
            raise MutationError(
                f"{path.name}: entry {number} needs file, line, change and reason, none empty."
            )
        answers.append(Answer(**fields))
    return answers


def score(verdicts: Sequence[Verdict]) -> float:
    """Percent of the counted mutants that the tests notice; 100 where none counts."""
    fates = Counter(verdict.fate for verdict in verdicts)
    noticed = fates[Fate.KILLED] + fates[Fate.TIMEOUT]
    counted = noticed + fates[Fate.SURVIVED]
    return 100.0 * noticed / counted if counted else 100.0


class Workplace:
    """A copy of the project where one job changes one source at a time."""

    def __init__(self, folder: Path) -> None:
        """Copy the project to `folder` and link its node_modules."""
        self.folder = folder
        folder.mkdir()
        for name in _COPIED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, folder / name)
            else:
                shutil.copy2(source, folder / name)
        (folder / "node_modules").symlink_to(PROJECT / "node_modules")
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")
        package = f"@foundry-rs/forge-{platform.system().lower()}-{machine}"
        self.forge = PROJECT / "node_modules" / package / "bin" / "forge"
        if not self.forge.is_file():
            raise MutationError("forge is missing: run `make contracts` first.")
        self.seconds = 10 * _LEAST_SECONDS
        warm, socket = PROJECT / "warm_solc.js", folder / "solc.socket"
        (folder / "solc").write_text(f'#!/bin/sh\nexec node "{warm}" ask "{socket}" "$@"\n')
        (folder / "solc").chmod(0o700)
        # It ends when this process does, whichever way: then its standard input ends.
        self.compiler = subprocess.Popen(  # nosec B603, B607
            ["node", str(warm), "serve", str(socket)], stdin=subprocess.PIPE
        )
        while not socket.exists():
            if self.compiler.poll() is not None:
                raise MutationError("The compiler does not start: run `make contracts` first.")
            time.sleep(0.05)

    def close(self) -> None:
        """End the compiler."""
        self.compiler.kill()
        self.compiler.communicate()

    def begin(self) -> None:
        """Run the unchanged tests, which must pass; fills the cache and sets the time limit."""
        started = time.monotonic()
        fate, output = self._tests([])
        if fate is not Fate.SURVIVED:
            raise MutationError(f"The tests must pass before they are measured:\n{output[-3000:]}")
        started, taken = time.monotonic(), time.monotonic() - started
        self._tests([])
        self.seconds = max(_LEAST_SECONDS, taken + _SLOWEST * (time.monotonic() - started))

    def judge(self, mutant: Mutant) -> Verdict:
        """Make the change, run the tests named after its file first, undo it."""
        path = self.folder / mutant.file
        source = path.read_text("utf-8")
        path.write_text(mutant.apply(source), "utf-8")
        try:
            near = f"test/**/{path.stem}*"
            fate = Fate.SURVIVED
            if any((self.folder / "test").rglob(f"{path.stem}*.sol")):
                fate, _ = self._tests(["--match-path", near])
            if fate is Fate.SURVIVED:
                fate, _ = self._tests(["--no-match-path", near])
        finally:
            path.write_text(source, "utf-8")
        return Verdict(mutant, fate)

    def _tests(self, which: list[str]) -> tuple[Fate, str]:
        """Run the tests until the first fails."""
        # Counterexamples of an earlier mutant would make verdicts hang on the order.
        for kept in ("fuzz", "invariant", "test-failures"):
            path = self.folder / "cache" / kept
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        command = [str(self.forge), "test", "--fail-fast", "--threads", "1", "--color", "never"]
        environment = {**os.environ, "FOUNDRY_PROFILE": "mutants"}
        # A fixed command over a copy of this project.
        with subprocess.Popen(  # nosec B603
            [*command, *which],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=self.seconds)
            except BaseException as error:
                # The compiler is a child of forge: the whole session goes.
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                if isinstance(error, subprocess.TimeoutExpired):
                    return Fate.TIMEOUT, output
                raise
        if process.returncode == 0:
            return Fate.SURVIVED, output
        if "Compiler run failed" in output or "Error: Compilation failed" in output:
            return Fate.INVALID, output
        if "[FAIL" in output:
            return Fate.KILLED, output
        raise MutationError(f"forge ended with {process.returncode}:\n{output[-3000:]}")


def measure(mutants: Sequence[Mutant], jobs: int, answers: Sequence[Answer]) -> list[Verdict]:
    """Judge every mutant, `jobs` at a time; survivors and progress go to standard error.

    Raises:
        MutationError: the unchanged tests fail.
    """
    verdicts: list[Verdict] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        free: queue.SimpleQueue[Workplace] = queue.SimpleQueue()
        stopping = threading.Event()

        def judge(mutant: Mutant) -> Verdict | None:
            if stopping.is_set():
                return None
            workplace = free.get()
            try:
                return workplace.judge(mutant)
            finally:
                free.put(workplace)

        with ExitStack() as ending, ThreadPoolExecutor(jobs) as pool:
            workplaces = []
            for number in range(jobs):
                workplaces.append(Workplace(Path(scratch) / str(number)))
                ending.callback(workplaces[-1].close)
            try:
                list(pool.map(Workplace.begin, workplaces))
                for workplace in workplaces:
                    free.put(workplace)
                for done in as_completed([pool.submit(judge, mutant) for mutant in mutants]):
                    verdict = done.result()
                    if verdict is None:
                        continue
                    mutant = verdict.mutant
                    if verdict.fate is Fate.SURVIVED and any(a.fits(mutant) for a in answers):
                        verdict = Verdict(mutant, Fate.ANSWERED)
                    verdicts.append(verdict)
                    if verdict.fate in (Fate.SURVIVED, Fate.TIMEOUT):
                        sys.stderr.write(f"{verdict.fate}: {described(mutant)}\n")
                    if len(verdicts) % 20 == 0 or len(verdicts) == len(mutants):
                        minutes = (time.monotonic() - started) / 60
                        sys.stderr.write(
                            f"{len(verdicts)} of {len(mutants)} mutants in {minutes:.1f} min, "
                            f"{score(verdicts):.1f} % noticed\n"
                        )
            finally:
                stopping.set()
    return sorted(verdicts, key=lambda verdict: verdict.mutant)


def described(mutant: Mutant) -> str:
    """A mutant on one line."""
    return f"{mutant.file}:{mutant.line}: {mutant.kind}: {mutant.change}"


def chosen_mutants(only: Sequence[str], sample: int | None, seed: int) -> list[Mutant]:
    """Mutants of src/ without interfaces and mocks, or of the files named, perhaps a sample.

    Raises:
        MutationError: no source has such a name.
    """
    mutants = []
    for path in sorted((PROJECT / "src").rglob("*.sol")):
        relative = path.relative_to(PROJECT)
        if only and path.name not in only and str(relative) not in only:
            continue
        if only or not any(part in ("interfaces", "mocks") for part in relative.parts):
            mutants += find_mutants(str(relative), path.read_text("utf-8"))
    if not mutants:
        raise MutationError(f"No source of contracts/solidity/src is named {', '.join(only)}.")
    if sample is not None and sample < len(mutants):
        mutants = sorted(random.Random(seed).sample(mutants, sample))  # nosec B311
    return mutants


def report(verdicts: Sequence[Verdict], answers: Sequence[Answer]) -> str:
    """The closing text: survivors, hangers, answers that answer nothing, counts, the score."""
    lines = []
    for fate in (Fate.SURVIVED, Fate.TIMEOUT):
        lines += [f"{fate}: {described(v.mutant)}" for v in verdicts if v.fate is fate]
    judged = {verdict.mutant.file for verdict in verdicts}
    used = [v.mutant for v in verdicts if v.fate is Fate.ANSWERED]
    for answer in answers:
        if answer.file in judged and not any(answer.fits(mutant) for mutant in used):
            lines.append(f"answers nothing: {answer.file}: {answer.change} in: {answer.line}")
    fates = Counter(verdict.fate for verdict in verdicts)
    lines.append(", ".join(f"{fates[fate]} {fate}" for fate in Fate))
    lines.append(f"{score(verdicts):.1f} % of the mutants that count are noticed")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print; exit status 1 below the least score, 2 where it can't begin."""
    parser = argparse.ArgumentParser(
        prog="python -m contracts.solidity.mutate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", default=[], metavar="File.sol")
    parser.add_argument("--jobs", type=int, default=2, help="at a time (2)")
    parser.add_argument("--least", type=float, default=90.0, help="percent that must be noticed")
    parser.add_argument("--sample", type=int, help="only so many mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--list", action="store_true", help="print the mutants, run nothing")
    parser.add_argument("--json", action="store_true", help="print every verdict as JSON")
    options = parser.parse_args()
    try:
        answers = read_answers(ANSWERED)
        mutants = chosen_mutants(options.only, options.sample, options.seed)
        if options.list:
            sys.stdout.write("".join(f"{described(mutant)}\n" for mutant in mutants))
            return 0
        verdicts = measure(mutants, max(1, options.jobs), answers)
    except MutationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.json:
        listed = [{"fate": verdict.fate, **asdict(verdict.mutant)} for verdict in verdicts]
        sys.stdout.write(json.dumps({"score": score(verdicts), "mutants": listed}, indent=1) + "\n")
    else:
        sys.stdout.write(report(verdicts, answers))
    return 0 if score(verdicts) >= options.least else 1


if __name__ == "__main__":
    raise SystemExit(main())
