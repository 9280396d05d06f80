"""A GGUF's chat template, taken apart into the pieces between messages.

The pieces are ours and are tokenised with their control tokens; message contents are data and never are, so a document
cannot speak as the system. Earlier turns are never rendered again, which keeps the KV cache valid.
"""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from understudy.core.errors import ModelFileError

__all__ = ["Pieces", "split_template"]

MARKS = ("\ue000S\ue000", "\ue000U\ue000", "\ue000A\ue000", "\ue000V\ue000")


@dataclass(frozen=True)
class Pieces:
    """What stands between the contents of messages."""

    head: str
    """Before the first content, when it is a user's."""
    system: tuple[str, str] | None
    """Before the system's content, and from there to the user's; `None` where a template knows no system role."""
    user_end: str
    """From a user's content to the step to be generated, thinking switched off."""
    step_end: str
    """From a step to the next user content."""


def split_template(template: str, *, bos: str, eos: str, where: str) -> Pieces:
    """Render the template on marked messages and cut it at the marks. Raises `ModelFileError`."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_template_error
    environment.globals["strftime_now"] = lambda _format: "2026-01-01"

    def render(roles: str, *, generate: bool) -> str:
        names = {"S": "system", "U": "user", "A": "assistant", "V": "user"}
        messages = [{"role": names[r], "content": f"\ue000{r}\ue000"} for r in roles]
        return environment.from_string(template).render(
            messages=messages, add_generation_prompt=generate, enable_thinking=False, bos_token=bos, eos_token=eos
        )

    try:
        with_steps = render("UAV", generate=True)
        user_end = render("U", generate=True).partition(MARKS[1])[2]
        try:
            with_system = render("SU", generate=True)
        except TemplateError:
            with_system = ""
    except TemplateError as error:
        raise ModelFileError(f"{where}: its chat template can't be rendered: {error}") from error
    head, _, after_user = with_steps.partition(MARKS[1])
    _, found, after_step = after_user.partition(MARKS[2])
    step_end, last, _ = after_step.partition(MARKS[3])
    if not (found and last):
        raise ModelFileError(f"{where}: its chat template drops messages; use a model with an ordinary chat template")
    if MARKS[0] not in with_system:
        return Pieces(head, None, user_end, step_end)
    system_head, _, rest = with_system.partition(MARKS[0])
    return Pieces(head, (system_head, rest.partition(MARKS[1])[0]), user_end, step_end)


def raise_template_error(message: str) -> None:
    """What templates call to refuse a conversation."""
    raise TemplateError(message)
