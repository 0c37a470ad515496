"""Actions for administrators: read and write any path, its past, call any service, settle errors."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import probatio
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.service import async_get_config_entry, async_register_admin_service
from homeassistant.util import dt as dt_util
from homeassistant.util.json import JsonObjectType, JsonValueType

from .const import DOMAIN
from .hub import ANSWER_WITHIN, MoatConfigEntry
from .link.client import Link
from .link.codec import ABSENT
from .link.errors import DecodeError, NotFoundError
from .link.message import Message
from .link.path import Path
from .link.server import Sample
from .plain import element_to_json, to_json
from .refusals import reading, remembering, sending
from .span import ATTR_STEP, SPAN, span

ATTR_ARGUMENTS: Final = "arguments"
ATTR_COMMAND: Final = "command"
ATTR_CONFIG_ENTRY_ID: Final = "config_entry_id"
ATTR_EXPECTED_TIME: Final = "expected_time"
ATTR_ITEM: Final = "item"
ATTR_KEYWORDS: Final = "keywords"
ATTR_NEWEST: Final = "newest"
ATTR_PATH: Final = "path"
ATTR_RECURSIVE: Final = "recursive"
ATTR_RETAIN: Final = "retain"
ATTR_SERVICE: Final = "service"
ATTR_TIMEOUT: Final = "timeout"
ATTR_VALUE: Final = "value"
ATTR_VALUES: Final = "values"

PAST_WITHIN: Final = 60.0  # a server goes through some 100,000 values a second
LONGEST_TIMEOUT: Final = 30.0
MOST_CHILDREN: Final = 1_000
MOST_VALUES: Final = 10_000
DATES: Final = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)

type Fields = dict[probatio.Marker, Any]

ENTRY: Final[Fields] = {probatio.Optional(ATTR_CONFIG_ENTRY_ID): cv.string}
PATH: Final[Fields] = {**ENTRY, probatio.Required(ATTR_PATH): cv.string}
COMPARED: Final[Fields] = {
    probatio.Optional(ATTR_EXPECTED_TIME): probatio.Any(bool, probatio.Coerce(float))
}
TIMEOUT: Final = probatio.All(
    probatio.Coerce(float), probatio.Range(min=0, max=LONGEST_TIMEOUT, min_included=False)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One row of the table of actions."""

    handle: Callable[[ServiceCall], Coroutine[Any, Any, ServiceResponse]]
    schema: Fields
    response: SupportsResponse = SupportsResponse.NONE


def async_register_actions(hass: HomeAssistant) -> None:
    """Offer all actions."""
    for name, action in ACTIONS.items():
        async_register_admin_service(
            hass, DOMAIN, name, action.handle, probatio.Schema(action.schema), action.response
        )


async def _get(call: ServiceCall) -> ServiceResponse:
    path = _path(call)
    link = _entry(call).runtime_data.link
    async with reading(path):
        message = await link.get(path)
    return {"path": str(path), **_content(message)}


async def _list(call: ServiceCall) -> ServiceResponse:
    path = _path(call)
    link = _entry(call).runtime_data.link
    found: dict[Path, Message] = {}
    async with reading(path):
        names = await link.list(path)
        if call.data[ATTR_VALUES]:
            async for message in link.walk(path, min_depth=1, max_depth=1):
                found[message.path] = message
    children: list[JsonValueType] = []
    for name in names[:MOST_CHILDREN]:
        child: JsonObjectType = {"name": element_to_json(name), "path": str(path / name)}
        if (known := found.get(path.resolve() / name)) is not None:
            child |= _content(known)
        children.append(child)
    return {"path": str(path), "children": children, "count": len(names)}


async def _history(call: ServiceCall) -> ServiceResponse:
    path = _path(call)
    entry = _entry(call)
    link = entry.runtime_data.link
    start, end = span(call.data, dt_util.utcnow())
    newest = min(call.data.get(ATTR_NEWEST, MOST_VALUES), MOST_VALUES)
    item = call.data[ATTR_ITEM]
    found: list[JsonValueType]
    step: timedelta | None = call.data.get(ATTR_STEP)
    async with reading(path, PAST_WITHIN):
        with remembering(entry, path):
            if step is None:
                values = link.history(path, start, end, newest=newest + 1)
                found = [_former(each, item) async for each in values]
            else:
                seconds = step.total_seconds()
                samples = link.samples(path, seconds, start, end, newest=newest + 1, item=item)
                found = [_sample(each, seconds) async for each in samples]
        if not found:
            await _exists(link, path)
    return {
        "path": str(path),
        "values" if step is None else "samples": found[-newest:],
        "truncated": newest == MOST_VALUES < len(found),
    }


async def _exists(link: Link, path: Path) -> None:
    """Say for the user that a path is likely to be mistyped."""
    try:
        await link.get(path)
    except NotFoundError as err:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="history_nothing",
            translation_placeholders={"path": str(path)},
        ) from err


async def _set(call: ServiceCall) -> ServiceResponse:
    path = _path(call, below=True)
    entry = _entry(call)
    with sending(entry, path):
        message = await entry.runtime_data.set(
            path,
            call.data[ATTR_VALUE],
            retain=call.data[ATTR_RETAIN],
            expected_time=call.data.get(ATTR_EXPECTED_TIME),
        )
    return {"path": str(path), "time": message.time}


async def _delete(call: ServiceCall) -> ServiceResponse:
    path = _path(call, below=True)
    entry = _entry(call)
    with sending(entry, path):
        await entry.runtime_data.delete(
            path,
            recursive=call.data[ATTR_RECURSIVE],
            expected_time=call.data.get(ATTR_EXPECTED_TIME),
        )
    return {"path": str(path)}


async def _call(call: ServiceCall) -> ServiceResponse:
    service = _path(call, ATTR_SERVICE, below=True)
    command = _path(call, ATTR_COMMAND)
    entry = _entry(call)
    with sending(entry, service):
        reply = await entry.runtime_data.call(
            service,
            [*command],
            call.data[ATTR_ARGUMENTS],
            call.data[ATTR_KEYWORDS],
            timeout=call.data[ATTR_TIMEOUT],
        )
    return {
        "value": to_json(reply.value),
        "arguments": [to_json(argument) for argument in reply.arguments],
        "keywords": {name: to_json(value) for name, value in reply.keywords.items()},
    }


async def _acknowledge_error(call: ServiceCall) -> ServiceResponse:
    path = _path(call, below=True)
    entry = _entry(call)
    with sending(entry, path):
        await entry.runtime_data.acknowledge_error(path)
    return None


async def _clear_error(call: ServiceCall) -> ServiceResponse:
    path = _path(call, below=True)
    entry = _entry(call)
    with sending(entry, path):
        await entry.runtime_data.clear_error(path)
    return None


ACTIONS: Final = {
    "get": Action(handle=_get, schema=PATH, response=SupportsResponse.ONLY),
    "list": Action(
        handle=_list,
        schema={**PATH, probatio.Optional(ATTR_VALUES, default=False): cv.boolean},
        response=SupportsResponse.ONLY,
    ),
    "history": Action(
        handle=_history,
        schema={
            **PATH,
            **SPAN,
            probatio.Optional(ATTR_NEWEST): probatio.All(
                probatio.Coerce(int), probatio.Range(min=1)
            ),
            probatio.Optional(ATTR_ITEM, default=list): probatio.All(
                cv.ensure_list, [probatio.Any(str, int)]
            ),
        },
        response=SupportsResponse.ONLY,
    ),
    "set": Action(
        handle=_set,
        schema={
            **PATH,
            probatio.Required(ATTR_VALUE): object,
            probatio.Optional(ATTR_RETAIN, default=True): cv.boolean,
            **COMPARED,
        },
        response=SupportsResponse.OPTIONAL,
    ),
    "delete": Action(
        handle=_delete,
        schema={
            **PATH,
            probatio.Optional(ATTR_RECURSIVE, default=False): cv.boolean,
            **COMPARED,
        },
        response=SupportsResponse.OPTIONAL,
    ),
    "call": Action(
        handle=_call,
        schema={
            **ENTRY,
            probatio.Required(ATTR_SERVICE): cv.string,
            probatio.Required(ATTR_COMMAND): cv.string,
            probatio.Optional(ATTR_ARGUMENTS, default=list): list,
            probatio.Optional(ATTR_KEYWORDS, default=dict): {cv.string: object},
            probatio.Optional(ATTR_TIMEOUT, default=ANSWER_WITHIN): TIMEOUT,
        },
        response=SupportsResponse.ONLY,
    ),
    "acknowledge_error": Action(handle=_acknowledge_error, schema=PATH),
    "clear_error": Action(handle=_clear_error, schema=PATH),
}


def _entry(call: ServiceCall) -> MoatConfigEntry:
    """Return the entry that is meant, which must be loaded."""
    entry_id = call.data.get(ATTR_CONFIG_ENTRY_ID)
    entry: MoatConfigEntry = async_get_config_entry(call.hass, DOMAIN, entry_id)
    return entry


def _path(call: ServiceCall, field: str = ATTR_PATH, *, below: bool = False) -> Path:
    """Return the path in a field; `below`: not the root itself."""
    text = call.data[field]
    try:
        path = Path.parse(text)
    except DecodeError as err:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="invalid_path",
            translation_placeholders={"field": field, "path": text, "reason": str(err)},
        ) from err
    if below and not path.resolve():
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="path_is_root",
            translation_placeholders={"field": field},
        )
    return path


def _content(message: Message) -> JsonObjectType:
    return {
        "value": to_json(message.value),
        "time": message.time,
        "origin": message.meta.origin,
    }


def _former(message: Message, item: Sequence[str | int]) -> JsonObjectType:
    """Say what held from when on; a deletion is told from a null."""
    value = message.item(tuple(item))
    said: JsonObjectType = {
        "time": _iso(message.time),
        "value": to_json(value),
        "origin": message.meta.origin,
    }
    return said | {"deleted": True} if message.value is ABSENT else said


def _sample(sample: Sample, step: float) -> JsonObjectType:
    return {
        "start": _iso(sample.start),
        "end": _iso(sample.start + step),
        "mean": sample.mean,
        "min": sample.low,
        "max": sample.high,
        "count": sample.count,
        "seconds": sample.seconds,
    }


def _iso(time: float) -> str:
    """Return a time as Home Assistant shows it: local, or as early or late as there are dates."""
    earliest, latest = (dt_util.as_timestamp(each) for each in DATES)
    return dt_util.as_local(
        dt_util.utc_from_timestamp(min(max(time, earliest), latest))
    ).isoformat()
