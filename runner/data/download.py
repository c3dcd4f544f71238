"""Downloads data sets: whole files with the right checksum, or nothing."""

import contextlib
import gzip
import os
import shutil
import tarfile
import tempfile
import time
import zlib
from pathlib import Path

from runner.data.origins import ORIGINS, Origin
from runner.data.refusals import unexpected
from runner.errors import DataError

CONNECT_SECONDS, READ_SECONDS = 5, 30
STALE_SECONDS = 24 * 60 * 60


def download(name: str, missing: list[str], places: list[Path]) -> None:
    """Puts the missing files into the last of the places, the cache.

    Each process works in a scratch folder of its own inside the cache and moves finished files
    out of it atomically, so that neither a killed process nor a second one leaves half a file.

    Raises:
        DataError: No mirror has them, or the cache cannot be written to.
    """
    origin, cache = ORIGINS[name], places[-1]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for scratch in cache.glob(".download-*"):
            with contextlib.suppress(FileNotFoundError):  # another process may just have finished
                if time.time() - scratch.stat().st_mtime > STALE_SECONDS:  # its process was killed
                    shutil.rmtree(scratch, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as folder:
            for item in origin.downloads:
                is_archive = item not in origin.files
                if is_archive or item in missing:
                    fetched = _fetch(name, item, Path(folder), places)
                    for file in _extract(fetched, origin) if is_archive else [fetched]:
                        with file.open("rb+") as content:
                            os.fsync(content.fileno())
                        file.replace(cache / file.name)
    except OSError as error:
        raise unexpected(cache, str(error), "a folder that can be written to") from None


def _fetch(name: str, item: str, scratch: Path, places: list[Path]) -> Path:
    """Downloads one item from the first mirror that has it, and verifies its checksum."""
    import pooch
    import requests

    origin = ORIGINS[name]
    downloader = pooch.HTTPDownloader(
        progressbar=True, chunk_size=1 << 16, timeout=(CONNECT_SECONDS, READ_SECONDS)
    )
    reasons = []
    for mirror in origin.mirrors:
        try:
            # pooch, too, downloads to a temporary file and names it only if its checksum is right.
            return Path(
                pooch.retrieve(
                    mirror + item,
                    known_hash=origin.downloads[item],
                    fname=item,
                    path=scratch,
                    downloader=downloader,
                )
            )
        except requests.ConnectionError as error:  # its text nests three libraries' messages
            reasons.append(f"{mirror}{item}: {type(error).__name__}")
        except (requests.RequestException, ValueError) as error:
            reason = " ".join(str(error).split(". Deleted")[0].split())
            reasons.append(f"{mirror}{item}: {reason}")
    looked = ", ".join([*map(str, places[:-1]), f"the cache {places[-1]}"])
    raise DataError(
        f"{name}: not on this machine, and the download failed:\n"
        + "".join(f"  {reason}\n" for reason in reasons)
        + f"Looked for {', '.join(origin.files)} in {looked}.\n"
        f"Put them in {origin.folder}/ under data.root or RUNNER_DATA; "
        "data=digits needs no download."
    )


def _extract(archive: Path, origin: Origin) -> list[Path]:
    """Copies the expected members, and no others, out of a tar.gz to the folder it lies in.

    Only the content of members is used, as a stream: no path, link or mode of the archive can
    reach the disk.
    """
    wanted = {f"{origin.folder}/{file}": archive.with_name(file) for file in origin.files}
    extracted = []
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                target = wanted.pop(member.name, None)
                if target is None:
                    continue
                stream = tar.extractfile(member) if member.isreg() else None
                size = origin.file_bytes[target.name]
                if stream is None or member.size != size:
                    found = f"member {member.name}, {member.size} bytes"
                    raise unexpected(archive, found, f"a regular file of {size} bytes")
                with stream, target.open("wb") as out:
                    shutil.copyfileobj(stream, out)
                extracted.append(target)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise unexpected(archive, f"unreadable: {error}", "a tar.gz archive") from None
    if wanted:
        raise unexpected(archive, f"no {', '.join(wanted)}", "these members")
    return extracted
