"""Chat templates taken apart: with and without a system role, and with a system prompt of their own."""

from __future__ import annotations

import pytest

from understudy.agents.template import split_template
from understudy.core.errors import ModelFileError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OWN_PROMPT = "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}" + CHATML
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
ONE_TURN = "<|im_start|>user\n{{ messages[0].content }}<|im_end|>\n<|im_start|>assistant\n"


def test_a_user_s_first_message_is_not_put_in_the_system_s_mouth() -> None:
    pieces = split_template(CHATML, bos="", eos="", where="m.gguf")
    assert pieces.head == "<|im_start|>user\n"
    assert pieces.system == ("<|im_start|>system\n", "<|im_end|>\n<|im_start|>user\n")
    assert pieces.user_end == "<|im_end|>\n<|im_start|>assistant\n"
    assert pieces.step_end == "<|im_end|>\n<|im_start|>user\n"


def test_a_template_s_own_system_prompt_stays_where_there_is_no_other() -> None:
    pieces = split_template(OWN_PROMPT, bos="", eos="", where="m.gguf")
    assert pieces.head == "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n"
    assert pieces.system == ("<|im_start|>system\n", "<|im_end|>\n<|im_start|>user\n")


def test_a_template_that_refuses_a_system_role() -> None:
    assert split_template(NO_SYSTEM, bos="", eos="", where="m.gguf").system is None


def test_a_template_that_drops_messages_is_refused() -> None:
    with pytest.raises(ModelFileError, match="drops messages"):
        split_template(ONE_TURN, bos="", eos="", where="m.gguf")
