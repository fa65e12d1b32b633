"""Configs: frozen dataclasses, filled from defaults, then a TOML file, then `key=value`; all faults told at once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from veracast.core.errors import ConfigError

T = TypeVar("T")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def load_config(
    cls: type[T], *, file: Path | None = None, overrides: Sequence[str] = (), given: Mapping[str, Any] | None = None
) -> T:
    """Build `cls` from its defaults, a TOML file, "key=value" strings (dots reach nested configs) and given values. Of a nested config only the
    keys that are given change; the others stay as the outer config has them by default.

    Raises ConfigError with every unknown key (and the nearest known one) and every bad value.
    """
    faults: list[str] = []
    body: dict[str, Any] = _read_toml(file, faults) if file is not None else {}
    for override in overrides:
        key, sep, value = override.partition("=")
        if not sep:
            faults.append(f"{override!r}: expected key=value")
            continue
        _set(body, key.strip().split("."), value.strip())
    for key, value in (given or {}).items():
        body[key] = value
    built = _build(cls, body, "", faults, None)
    if faults:
        raise ConfigError(faults)
    return typing.cast(T, built)


def merged(
    given: Mapping[str, Any], files: Mapping[str, Path | None], overrides: Sequence[str] | None
) -> dict[str, Any]:
    """Values of a nested config: given ones, tables read from TOML files by key, "key=value" strings on top.

    Raises ConfigError for a file that cannot be read or a string without "=".
    """
    faults: list[str] = []
    body = {**given, **{key: _read_toml(file, faults) for key, file in files.items() if file is not None}}
    for override in overrides or ():
        key, sep, value = override.partition("=")
        if sep:
            _set(body, key.strip().split("."), value.strip())
        else:
            faults.append(f"{override!r}: expected key=value")
    if faults:
        raise ConfigError(faults)
    return body


def to_dict(config: Any) -> dict[str, Any]:
    """JSON-able form of a config."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _read_toml(file: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        faults.append(f"{file}: {error}")
        return {}


def _set(body: dict[str, Any], path: list[str], value: str) -> None:
    for key in path[:-1]:
        inner = body.setdefault(key, {})
        if not isinstance(inner, dict):
            body[key] = inner = {}
        body = inner
    body[path[-1]] = value


def _build(cls: Any, body: Mapping[str, Any], prefix: str, faults: list[str], base: Any) -> Any:
    """base: of the same class, has the values that body does not; None = the defaults of the class."""
    hints, fields = typing.get_type_hints(cls), dataclasses.fields(cls)
    names = [f.name for f in fields]
    if base is None:
        known = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
        known |= {f.name: f.default_factory() for f in fields if f.default_factory is not dataclasses.MISSING}
    else:
        known = {name: getattr(base, name) for name in names}
    values = dict(known)
    for key, value in body.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.0)
            faults.append(
                f"unknown key {prefix}{key!s}, did you mean {prefix}{near[0]}?" if near else f"unknown key {key}"
            )
            continue
        try:
            values[key] = _convert(value, hints[key], f"{prefix}{key}", faults, known.get(key))
        except (ValueError, TypeError) as error:
            faults.append(f"{prefix}{key}: {error}")
    faults += [f"missing key {prefix}{name}" for name in names if name not in known and name not in body]
    if faults:
        return None
    try:
        return cls(**values)
    except ValueError as error:  # a config's own __post_init__
        faults.append(str(error))
        return None


def _convert(value: Any, hint: Any, name: str, faults: list[str], base: Any = None) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null", "")):
            return None
        return _convert(value, next(a for a in args if a is not type(None)), name, faults, base)
    if origin is typing.Literal:
        if value not in args:
            near = difflib.get_close_matches(str(value), [str(a) for a in args], n=1, cutoff=0.0)
            raise ValueError(
                f"{value!r} is none of {', '.join(map(str, args))}; nearest: {near[0] if near else args[0]}"
            )
        return value
    if origin is tuple:
        items = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else list(value)
        return tuple(_convert(item, args[0], name, faults) for item in items)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a table, got {value!r}")
        return _build(hint, value, f"{name}.", faults, base)
    return _scalar(value, hint)


def _scalar(value: Any, hint: Any) -> Any:
    if hint is bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
            return value.lower() in _TRUE
        raise ValueError(f"expected true or false, got {value!r}")
    if hint is dt.datetime:
        return _time(value)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is str and isinstance(value, str):
        return value
    if hint in (int, float) and isinstance(value, int | float | str) and not isinstance(value, bool):
        number = hint(value)
        if isinstance(value, float) and number != value:
            raise ValueError(f"expected a whole number, got {value!r}")
        return number
    raise ValueError(f"expected {getattr(hint, '__name__', hint)}, got {value!r}")


def _time(value: Any) -> dt.datetime:
    """A time with a zone; without one it is UTC, a date alone is the end of that day."""
    if isinstance(value, str):
        text = f"{value}T23:59:59" if len(value) == len("2024-01-31") else value
        value = dt.datetime.fromisoformat(text)
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time(23, 59, 59))
    if not isinstance(value, dt.datetime):
        raise ValueError(f"expected a date or time such as 2024-12-20 or 2024-12-20T08:00:00+08:00, got {value!r}")
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
