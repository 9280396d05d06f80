"""What is found as what, and what is left alone."""

from __future__ import annotations

import pytest

from understudy.privacy.redaction import TYPES, Redactor

EXAMPLES = {
    "EMAIL": ["write to jo.doe+x@mail.acme.co.uk.", "<a@b.example>"],
    "PHONE": [
        "call 555-123-4567 x12",
        "Tel: +49 (0)30 901820",
        "(760) 514-1109",
        "reach me at 61 51 81",
        "dial 020 7946 0958",
    ],
    "IBAN": ["pay to GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"],
    "CARD": ["4111 1111 1111 1111", "card 378282246310005", "5555-5555-5555-4444", "213100000000001", "501800000009"],
    "NATIONAL_ID": [
        *(
            "SSN 078-05-1120",
            "536-22-8145",
            "NI AB 12 34 56 C",
            "DNI 12345678Z",
            "CF RSSMRA85T10A562S",
            "HETU 131052-308T",
        ),
        *("passport number is X1234567", "CPF 111.444.777-35", "social security number: 123456789"),
    ],
    "RECORD_NUMBER": ["MRN: 00123456", "medical record no. A-99887", "NHS number 943 476 5919"],
    "ACCOUNT": ["account number 12345678", "routing 021000021"],
    "IP": ["host 192.168.10.24 is down", "2001:db8::ff00:42:8329"],
    "URL": ["see https://acme.example/a?b=c.", "www.acme.com", "visit intranet.acme.io today"],
    "BIRTH_DATE": ["born on 2/7/1961", "DOB: 1985-10-03", "date of birth is 3rd March 1970"],
    "AGE": ["a 93-year-old woman", "aged 91"],
    "ADDRESS": ["at 12 Main Street, Springfield, IL 62704", "P.O. Box 123", "lives in Via Verdi 12", "Hauptstraße 5"],
    "PERSON": ["Ask Maria Lopez about it.", "Dr. Okonkwo agreed.", "we met Willis and Green", "i met maria lopez"],
    "PLACE": ["They moved to Nairobi.", "I live in Kisumu now"],
    "ORGANISATION": ["a loan of Halden Instruments Ltd", "She works for Acme Holdings."],
}
LEFT_ALONE = [
    "Revenue was $1,234.5 million in 2019, up 12.5% from 2018.",
    "Order 4471902 ships in 30 days; see page 12 and section 4.2.1.",
    "The contract of 2020-01-15 ends on 31 December 2024.",
    "| Revenue | 412.6 | 388.1 | 351.9 |\n| Net income (loss) | (1,204) | 2,356 | 12 |",
    "Version 3.11.2 of the software was released on Monday.",
    "The Company shall pay the Fee under this Agreement.",
    "A 45-year-old man with a temperature of 38.5 and pulse 92.",
    "Total Assets and Net Operating Income, as of June 30, 2021 and 2020",
    "American and Chinese customers bought 2,000 units at 14:30:15.",
    "See README.md and main.py; use std::vector<int>.",
    "The shop is closed on Mondays, and so are most Fridays.",
]


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, texts in EXAMPLES.items() for t in texts])
def test_every_type_is_found(kind: str, text: str, redactor: Redactor) -> None:
    assert kind in [f.type for f in redactor.find(text)]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_a_question_needs_is_left_alone(text: str, redactor: Redactor) -> None:
    assert redactor.find(text) == []


def test_every_type_has_an_example() -> None:
    assert set(EXAMPLES) | {"OTHER", "TEXT"} == set(TYPES)


def test_a_wrong_checksum_is_no_card_or_iban(redactor: Redactor) -> None:
    assert redactor.find("no 4111 1111 1111 1112 and GB82 WEST 1234 5698 7654 33") == []


@pytest.mark.parametrize(
    ("address", "rest"),
    [
        ("12 Main Street, Springfield, IL 62704", " Please call first."),
        ("12 Main Street", "\nPhone: on request"),
        ("12 Main Street, Springfield", " The rent is due."),
        ("12 Main Street", " Tuesday morning"),
        ("12 Main Street", ", Mondays to Fridays"),
        ("12 Main Street", "\n\nInvoice 44"),
        ("5 Oak Avenue", ". Bring water."),
        ("5 Oak Ave.", " Bring water."),
        ("12 High St.", " However, the rent is due."),
        ("Flat 4", " Was sold."),
        ("12 Main Street, Springfield", "\nInvoice No. 12"),
        ("12 Main Street, Toronto, ON", " The rent is due."),
        ("12 Main Street, Bath", ", where it rained"),
        ("12 Main Street\n Springfield\n\n Kenya 01672", " is right"),
        ("1 Elm Rd, Leeds LS1 4AP, UK", ". Then it rained."),
        ("12 Main Street, Turkey", " was wrong"),
    ],
)
def test_an_address_ends_where_the_sentence_goes_on(address: str, rest: str, redactor: Redactor) -> None:
    text = f"Office: {address}{rest}"
    assert [(f.type, f.text) for f in redactor.find(text)] == [("ADDRESS", address)]
