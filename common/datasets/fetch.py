"""Find a dataset's files on this machine, or download, verify and store them.

The order is `$LABS_DATA`, then the cache folder, then the public address. A copy is
used only when its checksum is right. `$LABS_DATA` belongs to the user and is never
written to; the cache belongs to this module, which repairs it. Files are read whole
into memory, which suits sets of some megabytes. Decoding them is left to `text.py`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.datasets.registry import Dataset, File, lookup

_CHUNK = 1 << 16

# Copies found whole in this process, by path, size, time of change and checksum: a lab
# may ask for the same megabyte many times.
_seen_whole: set[tuple[str, int, int, str]] = set()


class DatasetMissing(RuntimeError):
    """No usable copy, and none can be had; the message says where to put the files."""


class DatasetCorrupt(DatasetMissing):
    """A file in a folder the user chose is not the published one."""


class _DownloadFailed(Exception):
    """The server gave no whole file; the text says what happened instead."""


# --- Where files lie ---


def cache_folder() -> Path:
    """Return the folder that downloads go to: `$LABS_CACHE`, or the user's cache."""
    chosen = os.environ.get("LABS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("llm-labs")) / "datasets"


def _user_folders(dataset: Dataset) -> list[Path]:
    """Return the folders that environment variables name for this dataset."""
    folders = []
    if dataset.variable and os.environ.get(dataset.variable):
        folders.append(Path(os.environ[dataset.variable]).expanduser())
    if os.environ.get("LABS_DATA"):
        folders.append(Path(os.environ["LABS_DATA"]).expanduser() / dataset.folder)
    return folders


def _place(dataset: Dataset, folder: Path) -> Path:
    """Return what a caller opens: the one file, or the folder of several."""
    return folder / dataset.files[0].name if len(dataset.files) == 1 else folder


# --- Is it whole? ---


def checksum(data: bytes, kind: str) -> str:
    """Return `kind:hex` of `data`, for kind "sha256" or "git-blob"."""
    import hashlib

    if kind == "sha256":
        return "sha256:" + hashlib.sha256(data).hexdigest()
    if kind == "git-blob":
        header = b"blob %d\0" % len(data)
        return "git-blob:" + hashlib.sha1(header + data).hexdigest()
    raise ValueError(f"kind: expected 'sha256' or 'git-blob', got {kind!r}")


def _matches(data: bytes, file: File) -> bool:
    return checksum(data, file.checksum.partition(":")[0]) == file.checksum


def is_whole(path: Path, file: File) -> bool:
    """Tell whether `path` holds exactly the bytes of `file`; absent means False."""
    try:
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns, file.checksum)
        if key not in _seen_whole and _matches(path.read_bytes(), file):
            _seen_whole.add(key)
    except OSError:
        return False
    return key in _seen_whole


# --- The three steps: find, download, store ---


def find(dataset: Dataset) -> Path | None:
    """Return the path of a whole copy on this machine, or None.

    Returns:
        The file, or for a dataset of several files the folder that has them all.

    Raises:
        DatasetCorrupt: a folder the user chose has all the files, but not the right
            bytes. Passing over them in silence would hide a broken set-up.
    """
    for folder in _user_folders(dataset):
        if not all((folder / file.name).is_file() for file in dataset.files):
            continue
        for file in dataset.files:
            if not is_whole(folder / file.name, file):
                raise DatasetCorrupt(
                    f"dataset {dataset.name!r}: {folder / file.name} cannot be read or "
                    f"is not the published file ({file.checksum}); replace or remove it"
                )
        return _place(dataset, folder)
    folder = cache_folder() / dataset.folder
    if all(is_whole(folder / file.name, file) for file in dataset.files):
        return _place(dataset, folder)
    return None


def fetch(
    dataset: Dataset, *, timeout: float = 30.0, tries: int = 3, pause: float = 0.5
) -> Path:
    """Return the path of a whole copy, downloading it into the cache where needed.

    Args:
        dataset: which one; tests pass one of their own with a local address.
        timeout: seconds without a byte after which a try is given up.
        tries: how often a download is tried.
        pause: seconds before the second try; twice that before the third.

    Returns:
        The file, or for a dataset of several files the folder that has them all.

    Raises:
        DatasetMissing: no copy, and none can be downloaded.
        DatasetCorrupt: a folder the user chose has the wrong bytes.
    """
    found = find(dataset)
    if found is not None:
        return found
    _refuse_if_offline(dataset)
    folder = cache_folder() / dataset.folder
    for file in dataset.files:
        target = folder / file.name
        if is_whole(target, file):
            continue
        if target.exists():
            # Replaced, not deleted first: another process may have repaired it by now.
            _say(f"{target} is corrupt: a new download replaces it")
        try:
            _store(_download(file, timeout, tries, pause), target, file)
        except (_DownloadFailed, OSError) as error:
            reason = f"the download of {file.url} failed: {error}"
            raise DatasetMissing(_missing(dataset, reason)) from error
    return _place(dataset, folder)


def path(name: str) -> Path:
    """Return the path of the dataset called `name`; see `fetch`.

    Raises:
        UnknownDataset: no dataset has this name.
        DatasetMissing: no copy, and none can be downloaded.
    """
    return fetch(lookup(name))


def available(name: str) -> bool:
    """Tell whether a whole copy is on this machine; nothing is downloaded or changed.

    Raises:
        UnknownDataset: no dataset has this name. A misspelt name that counted as "not
            there" would skip a test for ever.
    """
    try:
        return find(lookup(name)) is not None
    except DatasetMissing:
        return False


def _download(file: File, timeout: float, tries: int, pause: float) -> bytes:
    """Return the verified bytes of `file`, or raise _DownloadFailed."""
    import time
    from http.client import HTTPException
    from urllib.error import HTTPError

    problem = "no try was made"
    for attempt in range(tries):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            data = _receive(file, timeout)
        except HTTPError as error:
            problem = f"the server answered {error.code} {error.reason}"
            if error.code < 500:  # asking again for what is not there gives the same
                break
        except (OSError, HTTPException) as error:
            problem = str(error) or type(error).__name__
        else:
            if _matches(data, file):
                return data
            came = checksum(data, file.checksum.partition(":")[0])
            problem = f"{len(data):,} bytes came with {came}, not {file.checksum}"
    raise _DownloadFailed(problem)


def _receive(file: File, timeout: float) -> bytes:
    """Return what the server sends for `file`, unverified."""
    from urllib.request import urlopen

    data = bytearray()
    with urlopen(file.url, timeout=timeout) as response:
        promised = int(response.headers.get("Content-Length") or 0)
        with _progress(file.url, promised or file.size) as advance:
            while chunk := response.read(_CHUNK):
                data += chunk
                advance(len(chunk))
    # http.client ends a short body like a whole one, without an error.
    if len(data) < promised:
        raise ConnectionError(
            f"the connection closed after {len(data):,} of {promised:,} bytes"
        )
    return bytes(data)


def _store(data: bytes, target: Path, file: File) -> None:
    """Put `data` at `target` so that no reader ever sees a part of it."""
    import tempfile

    target.parent.mkdir(parents=True, exist_ok=True)
    # The same folder, because a rename is atomic only inside one file system; a name
    # of its own, because two processes may store the same file at once.
    handle, temporary = tempfile.mkstemp(".part", f".{target.name}.", target.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.chmod(temporary, 0o644)  # mkstemp's 0600 locks out others of a shared cache
        os.replace(temporary, target)
    except PermissionError:
        # Windows does not replace a file that another process reads. That process
        # has stored the same bytes, so its copy serves.
        if not is_whole(target, file):
            raise
    finally:
        Path(temporary).unlink(missing_ok=True)


# --- What is said ---


@contextmanager
def _progress(url: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function that advances a bar by bytes; no bar without a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(url.rpartition("/")[2], total=total)
        yield lambda count: bar.advance(task, count)


def _say(line: str) -> None:
    """Tell the user one line: logging writes warnings to stderr unless told not to."""
    import logging

    logging.getLogger("common.datasets").warning(line)


def _refuse_if_offline(dataset: Dataset) -> None:
    """Raise DatasetMissing where a download is forbidden or impossible."""
    if any(file.url is None for file in dataset.files):
        raise DatasetMissing(_missing(dataset, "it has no public address"))
    if os.environ.get("LABS_OFFLINE", "0") not in ("", "0"):
        raise DatasetMissing(_missing(dataset, "LABS_OFFLINE forbids a download"))


def _missing(dataset: Dataset, reason: str) -> str:
    """Return the message of DatasetMissing: what is missing, why, where to put it."""
    data, note = os.environ.get("LABS_DATA"), "the environment variable LABS_DATA"
    if not data:
        data, note = "$LABS_DATA", "the environment variable LABS_DATA is not set"
    cache = cache_folder() / dataset.folder
    lines = [
        f"dataset {dataset.name!r} is not on this machine, and {reason}.",
        "Put into one of these folders",
        f"  {Path(data).expanduser() / dataset.folder}  ({note})",
        f"  {cache}",
    ]
    for file in dataset.files:
        lines.append(
            f"the file {file.name}" + (f" from {file.url}" if file.url else "")
        )
    for file in dataset.files:
        if (cache / file.name).exists() and not is_whole(cache / file.name, file):
            lines.append(f"{cache / file.name} is corrupt.")
    return "\n".join(lines)
