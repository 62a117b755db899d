"""Write the text of a message with a template, the project's or an operator's.

A template sees values, not the program: it runs in Jinja's sandbox, and reads no other file. Every
value that it prints is escaped for the service, unless a filter wrote it in the service's markup.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ci.errors import UserError
from ci.notify.markup import Ready, markup_of, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.notify.message import Message, NightNews
    from ci.suite.notifying import Service

OWN = Path(__file__).parent / "templates/message.txt.j2"
MAX_BYTES = 64 << 10
_ADVICE = "docs/notify.md lists what a template may use"
# Jinja's name of a template that was read from a text, in tracebacks.
_FILE = "<template>"


def read_template(path: Path | None) -> tuple[str, str]:
    """Return the name and the text of a template; None is the project's own.

    Raises:
        UserError: the file cannot be read.
    """
    chosen = path or OWN
    try:
        with chosen.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UserError(f"{chosen}: {error.strerror}; check `template` of `notify`") from None
    except UnicodeDecodeError:
        raise UserError(f"{chosen}: is not UTF-8; save it as UTF-8") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{chosen}: is larger than 64 KiB; a message has less text")
    return str(chosen), text


def _line_of(error: BaseException) -> str:
    """Return `:` and the line of a template that raised an error; empty if it is unknown."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == _FILE and frame.lineno]
    return f":{lines[-1]}" if lines else ""


def writer(
    template: tuple[str, str], service: Service, owners: Mapping[str, str]
) -> Callable[[Message], str]:
    """Return what writes the text of a message in the markup of a service, without its title.

    Args:
        template: its name for messages, and its text.
        service: decides on escapes and on what the filters do.
        owners: owner → whom it mentions there.

    Raises:
        UserError: the template is wrong, here or when a message is written; with file and line.
    """
    name, text = template
    markup = markup_of(service)

    def finished(value: object) -> str:
        return value if isinstance(value, Ready) else markup.text(str(value))

    def mention(night: NightNews) -> Ready:
        person = owners.get(night.owner, "") if night.mentions else ""
        return Ready(markup.mention(person) if person else "")

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finished,
        # Not Jinja's own, which is for HTML: `finalize` escapes for the service.
        autoescape=False,
    )
    environment.filters |= {
        "bold": lambda value: Ready(markup.bold(str(value))),
        "code": lambda value: Ready(markup.code(str(value)) if value else ""),
        "link": lambda url, title: Ready(markup.link(str(url), str(title)) if url else ""),
        "mention": mention,
    }
    try:
        compiled = environment.from_string(text)
    except TemplateSyntaxError as error:
        raise UserError(f"{name}:{error.lineno}: {error.message}; {_ADVICE}") from None

    def write(message: Message) -> str:
        try:
            made = compiled.render(message=message, nights=message.nights, service=service)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise UserError(f"{name}{_line_of(error)}: {error}; {_ADVICE}") from None
        return "\n".join(line.rstrip() for line in visible(made).split("\n")).strip("\n")

    return write
