"""The plain text of HTML that moderators write."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.mail.html_to_text import html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("just text", "just text"),
        ("<p>One</p>\n<p>Two\n  words</p>", "One\n\nTwo words"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul><li>one</li><li>two</ul>", "* one\n* two"),
        ("<h1>Title</h1>text<hr>more", "Title\n\ntext\n\nmore"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("&lt;b&gt; &amp;amp; &uuml;&nbsp;x &bogus", "<b> &amp; ü x &bogus"),
        ("<b>bold</b> <I>italic</I>", "bold italic"),
        ('<a href="https://a.b/?x=1&amp;y=2">here</a>.', "here [https://a.b/?x=1&y=2]."),
        ("<a href=https://a.b>https://a.b</a>", "https://a.b"),
        ("<a href='https://a.b'><img src=x></a>", "https://a.b"),
        ("<a href='#top'>up</a> <a>none</a> <a name=x>y</a>", "up none y"),
        ("<a href=u:1>one <a href=u:2>two</a>", "one [u:1]two [u:2]"),
        ('<a title="a > b" data-href="no" href="u:">x</a>', "x [u:]"),
        ('<img src="x" alt="a cat">', "a cat"),
        ("<head><title>T</title><style>p {}</style></head><body>x", "x"),
        ("x<script>if (a < b) alert('</p>')</script>y", "xy"),
        ("see<a href='u:'><p></a>", "see\n\nu:"),
        ("one&#10;line", "one line"),
        ("a <!-- <b>hidden</b> --> b", "a b"),
        ("<!DOCTYPE html><?xml x?>a</>b", "ab"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("</b></a></script></p>x", "x"),
        ("<p>x<b", "x"),
        ("<p>x<b title='", "x"),
        ("x<!-- y", "x"),
    ],
)
def test_a_reader_of_text_sees_what_a_browser_shows(html: str, text: str) -> None:
    assert html_to_text(html) == f"{text}\n"


@given(st.text(alphabet="<>/!-ab\"'= &;p\n"))
def test_any_html_has_a_text(html: str) -> None:
    assert html_to_text(html).endswith("\n")


@pytest.mark.parametrize(
    "piece",
    [
        *("<a", "<a href='", "<a href='x'>", "<!--", "<!", "</", "<", "&", "<p>", "<a x='>'"),
        *("<script>", "<script></script", "<a href= ", "<a href=x></a>"),
    ],
)
def test_html_of_any_make_is_read_in_one_go(piece: str) -> None:
    html = (piece * 150_000)[:150_000]
    started = time.process_time()
    html_to_text(html)
    assert time.process_time() - started < 2
