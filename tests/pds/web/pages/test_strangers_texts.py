"""Names of clients and titles of permission sets, on the pages of sign-in and consent."""

from __future__ import annotations

import pytest

from pds.web.pages.strangers_texts import may_look_like_another, on_one_line


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ünïversal  App\n2", "Ünïversal App 2"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("תִּקְוָה", "תִּקְוָה"),
        ("Bank\u202e of\u2066 Trust", "Bank of Trust"),
        ("\u200b\u200d\ufeff\u00ad", ""),
        ("\u3164\u115f \u2800\uffa0", ""),
        ("Z" + "\u0336" * 200 + "algo", "Z" + "\u0336" * 3 + "algo"),
        ("\u0336" * 200, ""),
        ("x" * 10_000, "x" * 80),
    ],
)
def test_a_name_neither_hides_nor_covers_what_is_around_it(name: str, shown: str) -> None:
    assert on_one_line(name, 80) == shown


@pytest.mark.parametrize(
    ("host", "may"),
    [("app.example.com", False), ("xn--pple-43d.example.com", True), ("a.XN--P1AI", True)],
)
def test_a_host_with_letters_beyond_ascii_is_noticed(host: str, may: bool) -> None:
    assert may_look_like_another(host) is may
