"""translations/: complete, the same in every language, and what the code asks for."""

import ast
import re
from collections.abc import Iterator
from typing import Any

from .repository import Repository, called, constant, keyword, leaves

TOP = {
    *("application_credentials", "common", "conditions", "config", "config_panel"),
    *("config_subentries", "conversation", "device", "device_automation", "entity"),
    *("entity_component", "exceptions", "issues", "options", "preview_features", "selector"),
    *("services", "system_health", "title", "triggers"),
}
STEP = {
    *("data", "data_description", "description", "menu_option_descriptions", "menu_options"),
    *("sections", "submit", "title"),
}
LANGUAGES = ("en", "de")
ERROR = re.compile(r"(Error|NotReady|AuthFailed|UpdateFailed)$")
# below these, keys are names that hassfest wants in one form
NAMED = ("entity", "exceptions", "issues", "selector", "services")
NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def check(repository: Repository) -> Iterator[str]:
    """What is wrong with the texts."""
    for language in LANGUAGES:
        if language not in repository.texts:
            yield f"no translations/{language}.json"
    for language, texts in repository.texts.items():
        yield from (f"{language}: {what}" for what in _form(texts))
        yield from (f"{language}: {what}" for what in _same(repository.english, texts))
    yield from _flows(repository.english)
    yield from _asked(repository)
    yield from _unused(repository)


def _form(texts: dict[str, Any]) -> Iterator[str]:
    """The rules for every single text."""
    yield from (f"unknown key {key}" for key in texts.keys() - TOP)
    for where, _ in leaves({section: texts.get(section, {}) for section in NAMED}):
        if not all(NAME.fullmatch(name) for name in where.split("/")):
            yield f"{where}: a key consists of a-z, 0-9 and single _ or - between them"
    for where, text in leaves(texts):
        if not isinstance(text, str) or not text.strip():
            yield f"{where}: no text"
            continue
        if text != text.strip():
            yield f"{where}: blanks at the ends"
        if "[%key:" in text:
            yield f"{where}: references are resolved for Home Assistant's own integrations only"
        if re.search(r"</?[a-z]+>", text):
            yield f"{where}: HTML"
        if re.search(r"'\{\w+\}'", text):
            yield f"{where}: quotes around a placeholder"
        if "://" in text:
            yield f"{where}: an address belongs into a placeholder"


def _same(english: dict[str, Any], texts: dict[str, Any]) -> Iterator[str]:
    """Every language has the keys and the placeholders of English."""
    ours, theirs = dict(leaves(texts)), dict(leaves(english))
    yield from (f"{where}: missing" for where in theirs.keys() - ours.keys())
    yield from (f"{where}: not in English" for where in ours.keys() - theirs.keys())
    for where in sorted(ours.keys() & theirs.keys()):
        if _placeholders(ours[where]) != _placeholders(theirs[where]):
            yield f"{where}: other placeholders than in English"


def _placeholders(text: object) -> set[str]:
    return set(PLACEHOLDER.findall(str(text)))


def _flows(english: dict[str, Any]) -> Iterator[str]:
    """Every field of every form is named and described."""
    for where, flow in _flow_texts(english):
        for name, step in flow.get("step", {}).items():
            yield from (f"{where}/step/{name}: unknown key {key}" for key in step.keys() - STEP)
            for part in (step, *step.get("sections", {}).values()):
                data, described = part.get("data", {}), part.get("data_description", {})
                for field in sorted(data.keys() ^ described.keys()):
                    yield f"{where}/step/{name}: {field} needs both data and data_description"
    for kind, flow in english.get("config_subentries", {}).items():
        for key in ("entry_type", "initiate_flow"):
            if key not in flow:
                yield f"config_subentries/{kind}: no {key}"
    for name, issue in english.get("issues", {}).items():
        if "title" not in issue or ("description" in issue) == ("fix_flow" in issue):
            yield f"issues/{name}: needs a title and either a description or a fix_flow"


def _flow_texts(english: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every flow that has texts, with where they stand."""
    for key in ("config", "options"):
        yield key, english.get(key, {})
    for kind, flow in english.get("config_subentries", {}).items():
        yield f"config_subentries/{kind}", flow
    for name, issue in english.get("issues", {}).items():
        if "fix_flow" in issue:
            yield f"issues/{name}/fix_flow", issue["fix_flow"]


def _asked(repository: Repository) -> Iterator[str]:
    """Texts that the code names and that do not exist."""
    english = repository.english
    flows = [flow for _, flow in _flow_texts(english)]
    steps = {name for flow in flows for name in flow.get("step", {})}
    aborts = {name for flow in flows for name in flow.get("abort", {})}
    for path, call in repository.calls():
        name = called(call)
        step = constant(keyword(call, "step_id"))
        if step is not None and step not in steps and name != "ConfigFlowResult":
            yield f"{path.name}:{call.lineno}: no text for the step {step}"
        reason = constant(keyword(call, "reason"))
        if name == "async_abort" and reason is not None and reason not in aborts:
            yield f"{path.name}:{call.lineno}: no text for the abort reason {reason}"
        key = constant(keyword(call, "translation_key"))
        if key is None:
            continue
        if ERROR.search(name):
            yield from _placed(f"{path.name}:{call.lineno}", "exceptions", key, call, english)
        elif name == "async_create_issue":
            yield from _placed(f"{path.name}:{call.lineno}", "issues", key, call, english)


def _placed(
    where: str, section: str, key: str, call: ast.Call, english: dict[str, Any]
) -> Iterator[str]:
    """The text of a call exists, and the call fills in all of its placeholders."""
    if key not in english.get(section, {}):
        yield f"{where}: no text {section}/{key}"
        return
    given = keyword(call, "translation_placeholders")
    if given is not None and not isinstance(given, ast.Dict):
        return  # computed: the tests must tell
    names = {constant(name) for name in given.keys} if isinstance(given, ast.Dict) else set()
    wanted = {one for _, text in leaves(english[section][key]) for one in _placeholders(text)}
    if None not in names and wanted - names:
        yield f"{where}: {section}/{key} wants {', '.join(sorted(wanted - names))}"


def _unused(repository: Repository) -> Iterator[str]:
    """Texts that nothing in the code can mean: neither by their name nor by the start of it."""
    english = repository.english
    words, beginnings = _words(repository)
    words |= {"already_configured", "already_in_progress", "reauth_successful", "unknown"}
    words |= {"reconfigure_successful", "single_instance_allowed", "unique_id_mismatch"}
    sections = [(name, english.get(name, {})) for name in ("exceptions", "issues", "selector")]
    for where, flow in _flow_texts(english):
        sections += [(f"{where}/{kind}", flow.get(kind, {})) for kind in ("abort", "error", "step")]
    for platform, entities in english.get("entity", {}).items():
        sections.append((f"entity/{platform}", entities))
    for where, texts in sections:
        for key in texts:
            if key not in words and not key.startswith(tuple(beginnings)):
                yield f"{where}/{key}: nothing in the code uses it"


def _words(repository: Repository) -> tuple[set[str], set[str]]:
    """Every text constant of the code, what its steps are called, and how its f-strings begin."""
    words: set[str] = set()
    beginnings: set[str] = set()
    for tree in repository.modules.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                first = node.values[0] if node.values else None
                if isinstance(first, ast.Constant) and len(str(first.value)) > 3:
                    beginnings.add(str(first.value))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            elif isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                words.add(node.name.removeprefix("async_step_"))
    return words, beginnings
