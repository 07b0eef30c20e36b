"""From YAML files to :class:`Settings`: extends, deep merge, overrides, and every fault at once."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from shoal.config.schema import MEANING_VERSION, RUNTIME_SECTIONS, Settings
from shoal.errors import ConfigError, did_you_mean

_SECRET = re.compile(r"secret|password|passwd|token|credential|key", re.IGNORECASE)
_MASK = "***"
_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


def load_settings(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """Read ``path``, what it extends and ``a.b=c`` overrides, and validate it all at once.

    Relative ``storage.path`` and source paths are meant from the working directory.

    Raises
    ------
    ConfigError
        If a file is missing or not YAML, or the settings are not valid; it lists every fault.
    """
    merged = _read_layers(Path(path), seen=())
    for override in overrides:
        merged = deep_merge(merged, _parse_override(override))
    return validate(_resolve_environment(merged), origin=str(path))


def validate(raw: Mapping[str, Any], *, origin: str) -> Settings:
    """Return valid settings, or raise :class:`ConfigError` with every fault named."""
    try:
        # JSON mode: YAML's dates and ints arrive as themselves, but tuples and enums need leniency
        return Settings.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        faults = [_describe(dict(fault)) for fault in error.errors()]
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        lines = "\n".join(f"  - {fault}" for fault in faults)
        raise ConfigError(f"configuration {origin}: {count}\n{lines}") from error


def deep_merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings key by key; anything else, lists included, replaces."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = deep_merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def config_hash(settings: Settings) -> str:
    """Hash of what the numbers mean: everything but the runtime sections and file places.

    The order of entity types and networks means nothing, so it has no say.
    """
    meaning = settings.model_dump(mode="json", by_alias=True, exclude=set(RUNTIME_SECTIONS))
    for name in ("entities", "home_networks"):
        meaning[name] = sorted(meaning[name])
    meaning["sources"] = [
        {key: value for key, value in source.items() if key not in {"paths", "pattern"}}
        for source in sorted(meaning["sources"], key=lambda source: str(source["name"]))
    ]
    return _hash({**meaning, "meaning_version": MEANING_VERSION})


def runtime_hash(settings: Settings) -> str:
    """Hash of where and how it runs."""
    dumped = settings.model_dump(mode="json", by_alias=True, include=set(RUNTIME_SECTIONS))
    return _hash(dumped)


def resolved_json(settings: Settings) -> str:
    """Return the whole configuration as JSON, values that look like secrets masked."""
    dumped = settings.model_dump(mode="json", by_alias=True)
    conf = dumped["spark"]["conf"]
    dumped["spark"]["conf"] = {k: _MASK if _SECRET.search(k) else v for k, v in conf.items()}
    return json.dumps(dumped, sort_keys=True)


def mask_arguments(arguments: Sequence[str]) -> list[str]:
    """Arguments of a command, values of ``--set`` that look like secrets masked."""
    return [
        f"{argument.partition('=')[0]}={_MASK}"
        if "=" in argument and _SECRET.search(argument)
        else argument
        for argument in arguments
    ]


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_layers(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    resolved = path.resolve()
    if resolved in seen:
        chain = " → ".join(str(p.name) for p in (*seen, resolved))
        raise ConfigError(f"configuration {path}: extends goes in a circle: {chain}")
    raw = _read_yaml(path)
    parent = raw.pop("extends", None)
    if parent is None:
        return raw
    if not isinstance(parent, str):
        raise ConfigError(f"configuration {path}: extends must be one file name, got {parent!r}")
    return deep_merge(_read_layers(path.parent / parent, (*seen, resolved)), raw)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        siblings = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, siblings)
        raise ConfigError(f"configuration file {path} does not exist{hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration file {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"configuration file {path} is not YAML: {error}") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(
            f"configuration file {path} must hold a mapping of sections, got {type(raw).__name__}"
        )
    return raw


def _parse_override(override: str) -> dict[str, Any]:
    dotted, separator, text = override.partition("=")
    keys = dotted.strip().split(".")
    if not separator or not all(keys):
        raise ConfigError(f"--set {override!r}: write it as section.key=value")
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not YAML: {error}") from error
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def _resolve_environment(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _resolve_environment(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve_environment(item) for item in value]
    if isinstance(value, str):
        return _ENV.sub(_environment_value, value)
    return value


def _environment_value(match: re.Match[str]) -> str:
    name = match.group(1)
    if name not in os.environ:
        raise ConfigError(f"configuration: environment variable {name} is not set; ${{env:{name}}}")
    return os.environ[name]


def _describe(fault: Mapping[str, Any]) -> str:
    location = tuple(fault["loc"])
    where = ".".join(str(part) for part in location) or "(top)"
    if fault["type"] == "extra_forbidden":
        hint = did_you_mean(str(location[-1]), _keys_at(location[:-1]))
        return f"{where}: unknown key{hint}"
    if fault["type"] == "missing":
        return f"{where}: required, but not set"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}, got {_shorten(fault.get('input'))}"


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys_at(location: Iterable[object]) -> set[str]:
    """Keys that are allowed at a place of the settings tree."""
    models: list[type[BaseModel]] = [Settings]
    for part in location:
        if isinstance(part, int):
            continue
        children = [
            child
            for model in models
            for name, field in model.model_fields.items()
            if part in (name, field.alias)
            for child in _models_in(field.annotation)
        ]
        models = children or models  # a union's tag is part of the location: stay
    return {field.alias or name for m in models for name, field in m.model_fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
