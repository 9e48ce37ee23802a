"""The command of lab 1.2: `python search.py "query" --top 5`; `--help` says more.

It runs `main` of your lab.py, or of the reference with `--impl solution`. What belongs
to a process and not to search lives here: which file to load, a pipe that is closed
early, a terminal that cannot show every character.
"""

import argparse
import os
import sys
from pathlib import Path

from common import labs


def run(arguments: list[str]) -> int:
    """Hand the arguments to `main` of the chosen file; return the exit status."""
    chooser = argparse.ArgumentParser(
        prog="search.py", add_help=False, allow_abbrev=False
    )
    chooser.add_argument("--impl", default="lab")
    chosen, arguments = chooser.parse_known_args(arguments)
    try:
        lab = labs.read(Path(__file__).resolve().parent)
        return labs.implementation(lab, chosen.impl).main(arguments)
    except NotImplementedError as stub:
        wanted = f"{stub} of lab 1.2 is not written yet"
        print(f"search.py: {wanted}; try --impl solution", file=sys.stderr)
    except (labs.LabError, labs.UnknownLab) as error:
        print(f"search.py: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # print \\u65e5, do not crash
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()  # here, where a closed pipe can still be caught
    except BrokenPipeError:  # the reader, such as `head -1`, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
