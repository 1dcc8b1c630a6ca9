"""What MONAI Label's clients send beside the address: a form of `params`, as JSON, and files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import File, Form
from starlette.datastructures import UploadFile

from promisam.core.errors import InvalidConfig

Upload = Annotated[Any, File()]  # an UploadFile, a text from a careless client, or None
Params = Annotated[str, Form()]


def json_object(params: str) -> Mapping[str, Any]:
    """The values of `params`.

    Raises:
        InvalidConfig: for anything but a JSON object.
    """
    try:
        found = json.loads(params or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidConfig("params that are no JSON object", expected="one, such as {}", do="Correct the request.")
    return found


def sent_file(file: object, name: str) -> UploadFile:
    """A file that has to be there.

    Raises:
        InvalidConfig: when it is not.
    """
    if not isinstance(file, UploadFile):
        raise InvalidConfig(f"a request without {name}", expected="a file of that name in the form", do="Send it.")
    return file
