"""Ask a mien server for estimates, with nothing but Python's standard library.

    mien serve &
    python examples/rest_client.py http://127.0.0.1:5000 family.jpg holiday.heic

A busy server answers 503 and says when to come back. A photo that cannot be read is one sentence on standard
error; the others are still answered, and the exit status is 1.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

ATTEMPTS = 5


def estimate(server: str, photo: Path) -> dict[str, Any]:
    """Post one photo and return the answer's JSON object; the name of the file stays here.

    Raises:
        HTTPError: If the server refuses the photo, or is still busy at the last attempt.
    """
    headers = {"Content-Type": "application/octet-stream"}
    request = Request(f"{server}/api/v1/predict", photo.read_bytes(), headers)
    for attempt in range(ATTEMPTS):
        try:
            with urlopen(request, timeout=60) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except HTTPError as error:
            if error.code != 503 or attempt + 1 == ATTEMPTS:
                raise
            time.sleep(float(error.headers.get("Retry-After", 1)))
    raise AssertionError("the loop returns or raises")


def main(server: str, *photos: str) -> int:
    """Print a line for each face; return the exit status."""
    failed = False
    for photo in photos:
        try:
            for face in estimate(server, Path(photo))["faces"]:
                age, gender = face["age"], face["gender"]
                print(f"{photo}: {age['low']:.0f} to {age['high']:.0f} years, {gender['label']}")
        except HTTPError as error:
            failed = True
            print(f"{photo}: {json.load(error)['detail']}", file=sys.stderr)
        except OSError as error:
            failed = True
            reason = error.reason if isinstance(error, URLError) else error.strerror
            print(f"{photo}: {reason}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 2 else __doc__)
