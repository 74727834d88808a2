"""One command per job: `nox -s tests`, `lint`, `types`, `bench`, `chaos`, `sweeps`, `ray`, `docs`, `experiments`."""

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True


def install(session: nox.Session, extras: str = "dev") -> None:
    session.install("-c", "constraints.txt", "-e", f".[{extras}]")


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite; arguments go to pytest: `nox -s tests -- tests/data -k split`."""
    install(session)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, layout, and that imports go one way."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict."""
    install(session)
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Seconds per epoch, rows per second, memory: each beside what else there is, in one run; prints ratios."""
    install(session, "dev,bench")
    session.run("python", "benchmarks/epoch.py", *session.posargs)
    session.run("python", "benchmarks/ingest.py")
    session.run("python", "benchmarks/size.py")
    session.run("python", "benchmarks/models.py")
    session.run("python", "benchmarks/pruning.py")
    session.run("python", "benchmarks/sweep.py")
    session.run("python", "benchmarks/compare.py")
    session.run("python", "-m", "benchmarks.page")


@nox.session
def experiments(session: nox.Session) -> None:
    """A ready experiment over five seeds, on a file of yours: `nox -s experiments -- acl18 --data acl18.parquet`."""
    install(session)
    session.run("python", "benchmarks/results.py", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill -9, signals, full disks, flipped bits and random tables at length; the suite does a few of each."""
    install(session)
    long = ["tests/chaos", "tests/end_to_end/test_resume.py", "tests/leaks/test_inputs.py"]
    session.run("python", "-m", "pytest", *long, "--kills=200", *session.posargs)


@nox.session
def sweeps(session: nox.Session) -> None:
    """Sweeps at length: jobs that raise, leave, hang, are killed or take all memory; a sweep that is killed."""
    install(session)
    session.run("python", "-m", "pytest", "-n0", "tests/sweeps", "--sweeps", *session.posargs)


@nox.session
def ray(session: nox.Session) -> None:
    """A sweep on a local Ray, in an environment of its own: its launcher holds packages back that others need newer."""
    session.install("-e", ".[dev,ray]")
    session.run("python", "-m", "pytest", "-n0", "tests/sweeps/test_ray.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run every command of README and docs/."""
    install(session)
    session.run("python", "-m", "pytest", "tests/end_to_end/test_docs.py", *session.posargs)
